//! Services with eight indicators each, of these names, in one process: boards for an agent to read.

use healthboard::{Impact, Policy, Service};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().expect("a folder");
    for name in arguments {
        let builder = Service::builder(&name).runtime_dir(&place).option("uri", "board");
        let service = builder.start_with(|keeper| keeper.listening(Ok(Vec::new()))).expect("a service");
        for index in 0..8 {
            let policy = Policy { impact: Impact::Critical, ..Policy::DEFAULT };
            service.indicator(&format!("indicator-{index}"), policy).record_ok();
        }
    }
    loop {
        std::thread::park();
    }
}
