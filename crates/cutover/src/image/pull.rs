//! Pulls an image, and tells how far it has come.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use cutover_core::Failure;
use cutover_core::spec::ImageSpec;
use futures_util::StreamExt;

use super::{Reference, explain};
use crate::engine::port::Progress;

/// Pulls by digest, so that it is what was resolved.
pub async fn pull(
    docker: &Docker,
    image: &ImageSpec,
    reference: &Reference,
    resolved: &str,
    login: Option<DockerCredentials>,
    progress: &Progress,
) -> Result<(), Failure> {
    let mut options = CreateImageOptionsBuilder::default().from_image(resolved);
    if let Some(platform) = &image.platform {
        options = options.platform(platform);
    }
    progress.say(format!("pulling {reference}"));
    let mut layers = Layers::default();
    let mut lines = std::pin::pin!(docker.create_image(Some(options.build()), None, login.clone()));
    while let Some(line) = lines.next().await {
        let info = line.map_err(|error| explain::registry(reference, login.as_ref(), &error))?;
        if let Some(error) = info.error_detail.as_ref().and_then(|detail| detail.message.clone()) {
            return Err(explain::told(reference, login.as_ref(), &error));
        }
        if let Some(line) = layers.take(&info) {
            progress.say(format!("pulling {reference}: {line}"));
        }
    }
    Ok(())
}

/// How far each layer has come.
#[derive(Default)]
struct Layers {
    layers: BTreeMap<String, Layer>,
}

#[derive(Default, Clone, Copy)]
struct Layer {
    done: bool,
    bytes: u64,
    of: u64,
}

impl Layers {
    /// Takes in a line of the engine's; `3 of 5 layers, 12.4 of 40.1 MB`.
    fn take(&mut self, info: &CreateImageInfo) -> Option<String> {
        let (id, status) = (info.id.clone()?, info.status.as_deref()?);
        let is_layer = ["Pulling fs layer", "Waiting", "Downloading", "Verifying", "Download complete", "Extracting"];
        let done = matches!(status, "Pull complete" | "Already exists");
        if !done && !is_layer.iter().any(|begins| status.starts_with(begins)) {
            return None;
        }
        let layer = self.layers.entry(id).or_default();
        layer.done |= done;
        if let (true, Some(detail)) = (status.starts_with("Downloading"), &info.progress_detail) {
            let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
            layer.bytes = bytes(detail.current).unwrap_or(layer.bytes);
            layer.of = bytes(detail.total).unwrap_or(layer.of);
        }
        if done || status == "Download complete" {
            layer.bytes = layer.of;
        }
        Some(self.line())
    }

    fn line(&self) -> String {
        let done = self.layers.values().filter(|layer| layer.done).count();
        let sum = |of: fn(&Layer) -> u64| self.layers.values().map(of).sum::<u64>();
        let (bytes, of) = (sum(|layer| layer.bytes), sum(|layer| layer.of));
        let layers = format!("{done} of {} layers", self.layers.len());
        if of == 0 { layers } else { format!("{layers}, {} of {} MB", megabytes(bytes), megabytes(of)) }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn progress_adds_up() {
        let mut layers = Layers::default();
        let line = |id: &str, status: &str, at: Option<(i64, i64)>| CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: at.map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
            ..CreateImageInfo::default()
        };
        assert_eq!(layers.take(&line("1.4", "Pulling from shop/web", None)), None);
        layers.take(&line("a", "Already exists", None));
        layers.take(&line("b", "Pulling fs layer", None));
        let half = layers.take(&line("b", "Downloading", Some((12_400_000, 40_100_000))));
        assert_eq!(half.as_deref(), Some("1 of 2 layers, 12.4 of 40.1 MB"));
        let whole = layers.take(&line("b", "Pull complete", None));
        assert_eq!(whole.as_deref(), Some("2 of 2 layers, 40.1 of 40.1 MB"));
    }
}
