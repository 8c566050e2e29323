//! The files beside boards that say where the threads of a process stand. They exist only while a process hangs.

use super::directory::open;
use crate::board::place::{Place, stacks_name};
use crate::stacks::Stacks;
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The stack files of one directory, as of its last listing. A file is only ever replaced as a whole, which changes the
/// directory, so each is read once per listing.
#[derive(Default)]
pub(super) struct StackFiles(BTreeMap<String, Content>);

enum Content {
    Unread,
    /// `None` if the content cannot be read as stacks.
    Read(Option<Arc<Stacks>>),
}

impl StackFiles {
    /// Notes that a file of this name was found.
    pub(super) fn found(&mut self, name: &str) {
        if name.ends_with(".stacks") {
            self.0.insert(name.to_owned(), Content::Unread);
        }
    }

    /// The stacks of the process with this board, if there are any.
    pub(super) fn of(&mut self, place: &Place, board: &str) -> Option<Arc<Stacks>> {
        if self.0.is_empty() {
            return None;
        }
        let name = stacks_name(board);
        let content = self.0.get_mut(&name)?;
        if let Content::Unread = content {
            *content = Content::Read(read(place, &name).map(Arc::new));
        }
        match content {
            Content::Unread => None,
            Content::Read(stacks) => stacks.clone(),
        }
    }
}

fn read(place: &Place, name: &str) -> Option<Stacks> {
    let file = open(place, name, OFlags::RDONLY).ok()?;
    let mut bytes = vec![0; Stacks::MAX_BYTES];
    let found = file.read_at(&mut bytes, 0).ok()?;
    let service = place.path().file_name().unwrap_or_default().to_string_lossy();
    Some(Stacks::parse(&bytes[..found])?.of_service(&service))
}
