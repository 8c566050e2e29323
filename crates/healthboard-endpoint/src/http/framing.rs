//! What hyper does not show: whether a request says more than once how long it is.
//!
//! hyper drops a repeated `Content-Length` of the same value, and one that stands beside `Transfer-Encoding`, before anyone
//! can see it. Two parties that disagree about such a request's end are how requests are smuggled, so it is refused.

use memchr::memchr;

/// Looks at the lines of request heads as they arrive, in pieces of any size.
#[derive(Default)]
pub(super) struct Framing {
    /// The beginning of the present line, as far as it fits.
    name: [u8; LONGEST + 1],
    /// The length of the present line.
    len: usize,
    /// The lines of the present head that say how long the body is.
    lengths: u32,
    /// Whether the head has ended. After one with a body there is no next: the connection is closed.
    ended: bool,
}

const LONGEST: usize = b"transfer-encoding".len();

impl Framing {
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !self.ended && !bytes.is_empty() {
            let end = memchr(b'\n', bytes);
            let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            let beginning = self.name.get_mut(self.len..).unwrap_or_default();
            for (place, byte) in beginning.iter_mut().zip(part) {
                *place = *byte;
            }
            self.len += part.len();
            if end.is_some() {
                self.end_line();
            }
            bytes = rest;
        }
    }

    /// Whether the newest head says more than once how long its body is.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.lengths > 1
    }

    /// Whether the newest head says how long its body is.
    pub(super) fn has_body(&self) -> bool {
        self.lengths > 0
    }

    fn end_line(&mut self) {
        let line = &self.name[..self.len.min(self.name.len())];
        let says = |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        if says(b"content-length:") || says(b"transfer-encoding:") {
            self.lengths += 1;
        }
        self.ended = matches!(line, b"\n" | b"\r\n") && self.lengths > 0;
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(head: &str, piece: usize) -> Framing {
        let mut framing = Framing::default();
        head.as_bytes().chunks(piece).for_each(|bytes| framing.read(bytes));
        framing
    }

    #[test]
    fn a_length_said_twice_is_ambiguous_however_it_arrives() {
        let heads = [
            "GET / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n",
            "GET / HTTP/1.1\nTRANSFER-ENCODING: chunked\nHost: a\nContent-Length:5\n\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        ];
        for head in heads {
            for piece in 1..=head.len() {
                assert!(framing(head, piece).is_ambiguous(), "{head} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_length_said_once_is_a_body_and_what_follows_is_not_looked_at() {
        let head =
            "POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
        for piece in 1..=head.len() {
            let framing = framing(head, piece);
            assert!(framing.has_body() && !framing.is_ambiguous(), "in pieces of {piece}");
        }
        assert!(
            !framing("GET / HTTP/1.1\r\nX-Content-Length: 4\r\nContent-Length-Not: 3\r\n\r\n", 7).has_body()
        );
    }
}
