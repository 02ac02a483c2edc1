//! The page, its files, and what the browser is told to forbid.

use super::*;

async fn get(path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    ask(token(), false, request("GET", path, headers)).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Addresses that the page, or one of its files, names.
fn addresses(text: &str) -> Vec<String> {
    let all = text.split(['"', '\'']).filter(|part| part.starts_with("/assets/") || part.starts_with("./"));
    all.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_and_everything_that_it_loads_is_there() {
    let page = get("/", &[]).await;
    assert_eq!(page.headers()["cache-control"], "no-cache");
    let page = text(page).await;
    assert!(!page.contains("{{"), "{page}");
    let mut waiting = addresses(&page);
    let folder = waiting[0].rsplit_once('/').expect("a folder").0.to_owned();
    let mut seen = std::collections::BTreeSet::new();
    let mut bytes = page.len();
    while let Some(address) = waiting.pop() {
        let address = address.replacen("./", &format!("{folder}/"), 1);
        if !seen.insert(address.clone()) {
            continue;
        }
        let file = get(&address, &[]).await;
        assert_eq!(file.status(), StatusCode::OK, "{address}");
        assert!(file.headers()["cache-control"].to_str().expect("text").contains("immutable"), "{address}");
        let file = text(file).await;
        bytes += file.len();
        if address.ends_with(".js") {
            waiting.extend(addresses(&file));
        }
    }
    assert_eq!(seen.len(), crate::page::FILES.len(), "{seen:?}");
    assert!(bytes < 150_000, "{bytes}");
}

#[tokio::test]
async fn another_version_is_not_served_and_the_same_page_is_not_sent_twice() {
    assert_eq!(get("/assets/0000000000000000/app.js", &[]).await.status(), StatusCode::NOT_FOUND);
    let page = get("/", &[]).await;
    let tag = page.headers()["etag"].to_str().expect("text").to_owned();
    let again = get("/", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()["etag"].to_str().expect("text"), tag);
    assert_eq!(text(again).await, "");
    assert_eq!(get("/", &[("if-none-match", "W/\"other\"")]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_takes_gzip_gets_it() {
    use std::io::Read as _;
    let plain = text(get("/", &[]).await).await;
    let packed = get("/", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["vary"], "accept-encoding");
    let bytes = packed.into_body().collect().await.expect("a body").to_bytes();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain);
}

#[tokio::test]
async fn every_answer_forbids_what_the_page_does_not_need() {
    for (path, headers) in
        [("/", &[][..]), ("/api/status", &[]), ("/api/status", &[TOKEN]), ("/nothing", &[]), ("/healthz", &[])]
    {
        let answer = get(path, headers).await;
        let policy = answer.headers()["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers()[name], value, "{path}");
        }
        assert!(answer.headers().contains_key("permissions-policy"), "{path}");
    }
}
