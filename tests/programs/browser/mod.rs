//! What browsers make of what is served to them. The programs come from `make tools`.

use crate::support::browser::{Browser, player_script};

#[test]
fn a_browser_is_driven() {
    let page = "data:text/html,<title>x</title><button onclick='document.title+=1'>b</button>";
    let mut browser = Browser::open(page);
    browser.run("document.onkeydown = (event) => document.title += event.key; null");
    browser.click("button");
    browser.press("ArrowUp");
    browser.press("i");
    assert_eq!(browser.text("document.title"), "x1ArrowUpi");
    for (name, word) in [("hls.js", "Hls.version"), ("mpegts.js", "mpegts.version")] {
        browser.run(&player_script(name));
        assert_ne!(browser.text(word), "null", "{name}");
    }
    assert_eq!(browser.errors(), [""; 0]);
    browser.run("console.error('this is one'); null");
    assert!(browser.errors()[0].contains("this is one"));
}
