use super::*;

fn frame(file: &str, line: u32, function: &str) -> Frame {
    Frame::new(file, line, function)
}

fn hanging() -> Vec<Frame> {
    vec![
        frame("nova/virt/libvirt/host.py", 1234, "list_all_domains"),
        frame("nova/virt/libvirt/host.py", 900, "_retry"),
        frame("nova/compute/manager.py", 10843, "_sync_power_states"),
    ]
}

fn taken(threads: &[(Role, &[Frame])]) -> Stacks {
    let mut stacks = Stacks::at(42);
    threads.iter().for_each(|(role, frames)| stacks.add(*role, frames.to_vec()));
    stacks
}

#[test]
fn a_place_is_told_by_file_line_function_and_the_caller_in_another_file() {
    let told = taken(&[(Role::Other, &[]), (Role::Main, &hanging())]).main_place();
    let expected = "in host.py:1234 list_all_domains (called from manager.py:10843)";
    assert_eq!(told.as_deref(), Some(expected));
    let alone = taken(&[(Role::Main, &[frame("run.py", 7, "<module>")])]).main_place();
    assert_eq!(alone.as_deref(), Some("in run.py:7 <module>"));
    assert_eq!(taken(&[(Role::Work, &hanging())]).main_place(), None);
    assert_eq!(taken(&[(Role::MainAtWork, &hanging())]).main_place().as_deref(), Some(expected));
    assert_eq!(taken(&[(Role::Main, &[])]).main_place(), None);
}

#[test]
fn of_the_workers_the_place_of_most_is_told() {
    let other = [frame("pool.py", 1, "get"), frame("api.py", 2, "index")];
    let again = [&hanging()[..1], &[frame("api.py", 5, "show")]].concat();
    let all = taken(&[(Role::Work, &hanging()), (Role::Main, &other), (Role::Work, &hanging())]);
    let expected = "in host.py:1234 list_all_domains (called from manager.py:10843)";
    assert_eq!(all.work_place().as_deref(), Some(expected));
    // Those that came there from elsewhere stand there too.
    let some = taken(&[
        (Role::Work, &other),
        (Role::Work, &hanging()),
        (Role::Work, &hanging()),
        (Role::Work, &again),
        (Role::Other, &other),
    ]);
    assert_eq!(some.work_place(), Some(format!("3 of 4 {expected}")));
    assert_eq!(taken(&[(Role::Main, &hanging())]).work_place(), None);
    // A server without threads works in the main one.
    assert_eq!(taken(&[(Role::MainAtWork, &hanging())]).work_place().as_deref(), Some(expected));
}

#[test]
fn functions_of_the_service_are_named_rather_than_those_of_libraries() {
    let waits = [frame("socket.py", 706, "readinto"), frame("pymysql/connections.py", 753, "_read_bytes")];
    let frames = [&waits[..], &[frame("novaclient/api.py", 1, "call")], &hanging(), &waits].concat();
    let told = |service| taken(&[(Role::MainAtWork, &frames)]).of_service(service);
    let own = Some("in host.py:1234 list_all_domains (called from manager.py:10843)");
    for service in ["nova-compute", "nova"] {
        assert_eq!(told(service).main_place().as_deref(), own);
        assert_eq!(told(service).work_place().as_deref(), own);
    }
    let library = Some("in socket.py:706 readinto (called from connections.py:753)");
    for service in ["cinder-volume", "", "-", "socket.py"] {
        assert_eq!(told(service).main_place().as_deref(), library, "{service}");
    }
    // Alone in its package.
    let frames = [&waits[..], &hanging()[..1], &waits[..1]].concat();
    let told = taken(&[(Role::Main, &frames)]).of_service("nova-compute").main_place();
    assert_eq!(told.as_deref(), Some("in host.py:1234 list_all_domains"));
}

#[test]
fn what_is_written_is_what_is_read() {
    let other = [frame("pool.py", 1, "<listcomp>")];
    let threads: &[(Role, &[Frame])] = &[
        (Role::Other, &other),
        (Role::Work, &hanging()),
        (Role::Main, &hanging()),
        (Role::Work, &hanging()),
    ];
    let stacks = taken(threads);
    assert_eq!(
        stacks.stacks.iter().map(|stack| (stack.role, stack.threads)).collect::<Vec<_>>(),
        [(Role::Main, 1), (Role::Work, 2), (Role::Other, 1)]
    );
    assert_eq!(Stacks::parse(&stacks.encode()), Some(stacks));
}

#[test]
fn another_file_is_not_read_and_a_strange_line_is_passed_over() {
    let refused: [&[u8]; 5] = [
        b"",
        b"healthboard-stacks 2 5\n",
        b"healthboard-stacks 1 x\n",
        b"healthboard-stacks 1 -1\n",
        b"Timeout (0:00:09)!\n",
    ];
    for bytes in refused {
        assert_eq!(Stacks::parse(bytes), None, "{}", String::from_utf8_lossy(bytes));
    }
    let strange = b"healthboard-stacks 1 5\n 1 before.py any\nnobody 1\n 1 a.py f\nmain 1\n x b.py f\n 2 c.py\n \n 3 d.py \x1b[31m\xff<b>\"a b\n";
    let read = Stacks::parse(strange).unwrap();
    assert_eq!((read.taken_ns, read.stacks.len()), (5, 1));
    assert_eq!(read.main_place().unwrap(), "in d.py:3 __31m_<b>_a_b");
    let many = b"healthboard-stacks 1 5\nwork 4294967295\n 1 a.py f\nwork 4294967295\n 2 a.py f\n 1 b.py g\n";
    let place = Stacks::parse(many).unwrap().work_place();
    assert_eq!(place.unwrap(), "4294967295 of 8589934590 in a.py:1 f");
}

#[test]
fn however_much_there_is_the_file_stays_short_and_holds_the_main_thread() {
    let long = "é/".repeat(200);
    let mut stacks = Stacks::at(1);
    for thread in 0..500 {
        stacks.add(Role::Other, (0..500).map(|line| frame(&long, thread * 1000 + line, &long)).collect());
    }
    stacks.stacks.pop();
    stacks.add(Role::Main, hanging());
    let bytes = stacks.encode();
    assert!(bytes.len() <= Stacks::MAX_BYTES, "{}", bytes.len());
    let read = Stacks::parse(&bytes).unwrap();
    assert_eq!(read.main_place(), stacks.main_place());
    let frames = read.stacks.iter().flat_map(|stack| &stack.frames);
    assert!(frames.clone().count() > 100);
    assert!(frames.clone().all(|frame| frame.to_string().len() < 200));
    // Bytes without an end are read up to a bound.
    let flood = [b"healthboard-stacks 1 1\n".to_vec(), b"main 1\n 1 a b\n".repeat(1 << 20)].concat();
    let read = Stacks::parse(&flood).unwrap();
    assert_eq!(read.main_place().as_deref(), Some("in a:1 b"));
    // The last one may have been cut.
    assert!(read.stacks.len() <= 2);
}
