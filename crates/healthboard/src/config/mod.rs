//! The settings of a service. How they take effect is decided elsewhere.

mod parse;
mod policy;
mod settings;
mod uri;

pub use parse::SettingError;
pub(crate) use parse::{MAX_INDICATOR_NAME, MAX_SERVICE_NAME, indicator_name};
pub(crate) use policy::NO_ANSWER_AFTER_NS;
pub use policy::{Impact, PROGRESS, Policy};
pub use settings::{ErrorDetail, Settings, Unclaimed};
pub use uri::Uri;
