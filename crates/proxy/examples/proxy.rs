//! Runs a proxy: `proxy STATE_DIRECTORY [THREADS]`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let state = arguments.next().ok_or("usage: proxy STATE_DIRECTORY [THREADS]")?.into();
    let threads = arguments.next().map(|text| text.parse()).transpose()?;
    Ok(cutover_proxy::run(cutover_proxy::Options { threads, ..cutover_proxy::Options::of(state) })?)
}
