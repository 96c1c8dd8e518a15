//! libFuzzer's entry: throws bytes at the property that `PROPERTY` names. See `cutover_proxy::fuzz`.

#![no_main]

use std::sync::OnceLock;

use cutover_proxy::fuzz::{PROPERTIES, Property};

static CHOSEN: OnceLock<Property> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let property = CHOSEN.get_or_init(|| {
        let name = std::env::var("PROPERTY").unwrap_or_default();
        let found = PROPERTIES.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("PROPERTY={name} is not one of the proxy's")).1
    });
    property(bytes);
});
