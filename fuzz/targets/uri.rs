//! An accepted URI is printed so that it parses to the same URI.

#![no_main]

use healthboard::Uri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(uri) = text.parse::<Uri>() else { return };
    assert_eq!(uri.to_string().parse().as_ref(), Ok(&uri));
    match &uri {
        Uri::Tcp { .. } => assert!(!uri.addresses().is_empty()),
        Uri::Unix(path) => assert!(path.is_absolute() && uri.addresses().is_empty()),
    }
});
