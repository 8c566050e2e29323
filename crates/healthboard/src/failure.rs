//! The description of a failure.

use std::fmt;

/// The class, code and text of a failure.
///
/// ```
/// use healthboard::Failure;
///
/// let failure = Failure::new("OperationalError").code("2003").text("cannot connect");
/// assert_eq!(failure.to_string(), "OperationalError 2003: cannot connect");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure, such as `ConnectionRefusedError`. Not kept with `error_detail = none`.
    pub class: String,
    /// The failing library's code for it, such as `2003`; often empty. Not kept with `error_detail = none`.
    pub code: String,
    /// A text for people. Kept, without secrets, only with `error_detail = message`.
    pub text: String,
    /// Whether no refresh can have this failure, such as an exhausted pool. Only work clears it.
    pub by_work: bool,
}

impl Failure {
    /// A failure of this class.
    pub fn new(class: impl Into<String>) -> Failure {
        Failure { class: class.into(), ..Failure::default() }
    }

    /// The failure for an error. Its class is the name of the error's type, and its text is what `Display` prints.
    pub fn of<E: fmt::Display + ?Sized>(error: &E) -> Failure {
        Failure::new(class(std::any::type_name::<E>())).text(error.to_string())
    }

    /// The same with this code.
    #[must_use]
    pub fn code(self, code: impl Into<String>) -> Failure {
        Failure { code: code.into(), ..self }
    }

    /// The same with this text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Failure {
        Failure { text: text.into(), ..self }
    }

    /// The same failure, cleared only by a success of the work and not by that of a refresh.
    #[must_use]
    pub fn by_work(self) -> Failure {
        Failure { by_work: true, ..self }
    }

    /// Whether class, code and text are all empty.
    pub fn is_empty(&self) -> bool {
        self.class.is_empty() && self.code.is_empty() && self.text.is_empty()
    }
}

impl fmt::Display for Failure {
    /// `class code: text`, without empty parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.class)?;
        if !self.code.is_empty() {
            write!(f, "{}{}", if self.class.is_empty() { "" } else { " " }, self.code)?;
        }
        if !self.text.is_empty() {
            let first = self.class.is_empty() && self.code.is_empty();
            write!(f, "{}{}", if first { "" } else { ": " }, self.text)?;
        }
        Ok(())
    }
}

/// The last part of a type's path. For a plain `Error` the module is included: `io::Error`. A trait object has no more than
/// its trait's name.
pub(crate) fn class(type_name: &str) -> String {
    let name = type_name.trim_start_matches('&').trim_start_matches("alloc::boxed::Box<");
    if let Some(object) = name.strip_prefix("dyn ") {
        let path = object.split([' ', '<', '>']).next().unwrap_or_default();
        return path.rsplit("::").next().unwrap_or_default().to_owned();
    }
    let path = name.split(['<', '>']).next().unwrap_or_default();
    let mut parts = path.rsplit("::");
    match (parts.next(), parts.find(|part| !matches!(*part, "error" | "errors"))) {
        (Some("Error"), Some(owner)) => format!("{owner}::Error"),
        (last, _) => last.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_class_says_whose_error_it_is() {
        for (type_name, expected) in [
            (std::any::type_name::<std::io::Error>(), "io::Error"),
            (std::any::type_name::<std::num::ParseIntError>(), "ParseIntError"),
            (std::any::type_name::<&std::fmt::Error>(), "fmt::Error"),
            (std::any::type_name::<Box<dyn std::error::Error>>(), "Error"),
            (std::any::type_name::<Box<dyn std::error::Error + Send + Sync>>(), "Error"),
            (std::any::type_name::<dyn std::error::Error + Send>(), "Error"),
            (std::any::type_name::<Box<std::fmt::Error>>(), "fmt::Error"),
            (std::any::type_name::<()>(), "()"),
            ("rusqlite::error::Error", "rusqlite::Error"),
            ("Error", "Error"),
        ] {
            assert_eq!(class(type_name), expected, "{type_name}");
        }
    }

    #[test]
    fn only_what_is_known_is_displayed() {
        let failure =
            |class: &str, code: &str, text: &str| Failure::new(class).code(code).text(text).to_string();
        assert_eq!(failure("", "", ""), "");
        assert_eq!(failure("A", "", ""), "A");
        assert_eq!(failure("", "1", ""), "1");
        assert_eq!(failure("", "", "t"), "t");
        assert_eq!(failure("A", "1", ""), "A 1");
        assert_eq!(failure("A", "", "t"), "A: t");
        assert_eq!(failure("", "1", "t"), "1: t");
        assert_eq!(failure("A", "1", "t"), "A 1: t");
    }
}
