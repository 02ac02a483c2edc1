//! The page and its files, embedded in the binary.
//!
//! All files have one address that names their content, so a browser may keep them for good and never mixes two versions. The page
//! itself is asked for each time, and costs nothing while it is the same.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::answer;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: &str = "image/svg+xml";

/// Name, type, content.
type Source = (&'static str, &'static str, &'static str);

const INDEX: &str = include_str!("../page/index.html");

/// What the page loads.
pub(crate) const FILES: &[Source] = &[
    ("style.css", CSS, include_str!("../page/style.css")),
    ("icon.svg", ICON, include_str!("../page/icon.svg")),
    ("app.js", SCRIPT, include_str!("../page/app.js")),
    ("api.js", SCRIPT, include_str!("../page/api.js")),
    ("dom.js", SCRIPT, include_str!("../page/dom.js")),
    ("words.js", SCRIPT, include_str!("../page/words.js")),
    ("state.js", SCRIPT, include_str!("../page/state.js")),
    ("chart.js", SCRIPT, include_str!("../page/chart.js")),
    ("overview.js", SCRIPT, include_str!("../page/overview.js")),
    ("history.js", SCRIPT, include_str!("../page/history.js")),
    ("events.js", SCRIPT, include_str!("../page/events.js")),
    ("letters.js", SCRIPT, include_str!("../page/letters.js")),
    ("explain.js", SCRIPT, include_str!("../page/explain.js")),
    ("connect.js", SCRIPT, include_str!("../page/connect.js")),
    ("recipes.js", SCRIPT, include_str!("../page/recipes.js")),
    ("privacy.js", SCRIPT, include_str!("../page/privacy.js")),
];

/// Stands in the page for the folder of its files.
const FOLDER: &str = "{{files}}";

/// A file, plain and packed.
struct File {
    content_type: &'static str,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

/// All of it, and the name of its content.
struct Site {
    version: String,
    index: File,
    files: Vec<(&'static str, File)>,
}

/// Packed at the first request: a few files of a few kilobytes, a few milliseconds once a process.
fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| {
        let mut hash = Sha256::new();
        hash.update(INDEX);
        for (name, _, content) in FILES {
            hash.update(name);
            hash.update(content);
        }
        let version = hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let index = INDEX.replace(FOLDER, &format!("/assets/{version}"));
        let files = FILES.iter().map(|(name, kind, content)| (*name, File::new(kind, (*content).to_owned()))).collect();
        Site { version, index: File::new(HTML, index), files }
    })
}

impl File {
    fn new(content_type: &'static str, content: String) -> Self {
        let plain = content.into_bytes();
        // Writing to memory cannot fail; were it to, there is no packed one.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let packed = encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { content_type, plain, packed }
    }

    fn answer(&self, headers: &HeaderMap, caching: &'static str) -> Response {
        let packed = accepts_gzip(headers) && !self.packed.is_empty();
        let bytes = if packed { &self.packed } else { &self.plain };
        let mut response = Response::new(Body::from(bytes.clone()));
        let answered = response.headers_mut();
        answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        answered.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        answered.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if packed {
            answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// The page. Holds nothing but itself: what it shows it asks for.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    let site = site();
    let tag = format!("W/\"{}\"", site.version);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => site.index.answer(&headers, "no-cache"),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A file of the version that this process has. Another version's address is nobody's: a page that is that old loads itself anew.
pub(crate) async fn file(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let site = site();
    let found = site.files.iter().find(|(known, _)| *known == name).filter(|_| version == site.version);
    match found {
        Some((_, file)) => file.answer(&headers, "public, max-age=31536000, immutable"),
        None => answer::no_such_route().await,
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
            && !parts.any(|quality| matches!(quality, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_all_its_files_are_less_than_150_kb() {
        let plain: usize = FILES.iter().map(|(_, _, content)| content.len()).sum::<usize>() + INDEX.len();
        assert!(plain < 150_000, "{plain} bytes");
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_inline() {
        for (name, kind, content) in FILES {
            assert!(!content.contains("innerHTML") && !content.contains("eval("), "{name}");
            assert!(!content.contains("insertAdjacentHTML") && !content.contains("document.write"), "{name}");
            if *kind == SCRIPT || *kind == CSS {
                assert!(!content.contains("@import") && !content.contains("url(http"), "{name}");
            }
        }
        for inline in ["<style", "style=", "onclick", "onload", "javascript:"] {
            assert!(!INDEX.contains(inline), "{inline}");
        }
        let scripts = INDEX.matches("<script").count();
        assert_eq!(scripts, INDEX.matches("<script type=\"module\" src=\"{{files}}/").count());
    }

    #[test]
    fn gzip_is_given_to_who_takes_it() {
        let asks = |value: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(asks("gzip") && asks("br, GZIP;q=0.5") && asks("deflate,gzip"));
        assert!(!asks("") && !asks("br") && !asks("gzip;q=0") && !asks("x-gzip"));
    }
}
