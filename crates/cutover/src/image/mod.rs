//! Images: what a reference means, getting it, and letting it go.
//!
//! A release is bound to what its reference meant when it was planned: a digest that the registry knows, or the id of an image that
//! exists only here. From then on a tag that moves changes nothing.
//!
//! Building and pushing is not here but on the side of the command line ([`build`]): the agent runs only what is finished.

pub mod build;
mod explain;
pub mod login;
mod pull;
mod reference;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::ImageInspect;
use bollard::query_parameters::RemoveImageOptions;
use cutover_core::Failure;
use cutover_core::spec::{ImageSpec, Login, Pull};

pub use self::reference::Reference;
use crate::engine::port::Progress;
use crate::runtime::docker::refused;

/// The images of an engine.
#[derive(Clone)]
pub struct Images {
    docker: Docker,
}

impl Images {
    /// Of this engine.
    pub fn new(docker: Docker) -> Self {
        Self { docker }
    }

    /// What a reference means now, as something that cannot change: `repository@sha256:…`, or the id (`sha256:…`) of an image that
    /// exists only here.
    ///
    /// If the registry cannot be reached, an image that is here and came from there stands for it: that is what would be pulled
    /// as far as anybody knows, and a registry that is down should not keep anybody from restarting.
    pub async fn resolve(&self, image: &ImageSpec) -> Result<String, Failure> {
        let reference = Reference::parse(&image.reference).map_err(Failure::new)?;
        if let Some(digest) = &reference.digest {
            return Ok(reference.at(digest));
        }
        let local = self.local(&reference.to_string()).await?;
        if image.pull == Pull::Never {
            return local
                .as_ref()
                .map(|local| known_as(local, &reference))
                .ok_or_else(|| explain::not_here(&reference));
        }
        let login = credentials(image, &reference)?;
        let asked = self.docker.inspect_registry_image(&reference.to_string(), login.clone()).await;
        match (asked, local) {
            (Ok(found), _) => {
                let digest = found.descriptor.digest.ok_or_else(|| explain::no_digest(&reference))?;
                Ok(reference.at(&digest))
            }
            // Nobody has pushed it: it was built here.
            (Err(error), Some(local)) if image.pull == Pull::Auto && explain::may_be_local(&error, &local) => {
                Ok(known_as(&local, &reference))
            }
            (Err(error), _) => Err(explain::registry(&reference, login.as_ref(), &error)),
        }
    }

    /// Makes it present, and tells how far it has come.
    pub async fn ensure(&self, image: &ImageSpec, resolved: &str, progress: &Progress) -> Result<(), Failure> {
        if let Some(found) = self.local(resolved).await? {
            return self.check_platform(image, &found).await;
        }
        let reference = Reference::parse(&image.reference).map_err(Failure::new)?;
        if resolved.starts_with("sha256:") {
            return Err(Failure::new(format!("the image {reference} is not here any more ({resolved})")).hint(
                "it existed only on this host, and somebody removed it: build it again, or push it to a registry",
            ));
        }
        let login = credentials(image, &reference)?;
        pull::pull(&self.docker, image, &reference, resolved, login, progress).await?;
        match self.local(resolved).await? {
            Some(found) => self.check_platform(image, &found).await,
            None => Err(Failure::new(format!("{resolved} was pulled, but the engine does not have it"))),
        }
    }

    /// Removes it, unless a container, another image or another name needs it. One that exists only here cannot be had again: while it
    /// has a name, it goes only if we have built it.
    pub async fn discard(&self, resolved: &str) -> Result<(), Failure> {
        if resolved.starts_with("sha256:") {
            let Some(found) = self.local(resolved).await? else { return Ok(()) };
            let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
            let names = found.repo_tags.unwrap_or_default().join(", ");
            if !names.is_empty() && !labels.contains_key(build::LABEL) {
                tracing::info!("the image {names} stays: it exists only here, and was not built by us");
                return Ok(());
            }
        }
        let gone = self.docker.remove_image(resolved, None::<RemoveImageOptions>, None).await;
        match gone {
            Ok(_) => Ok(()),
            Err(error) if crate::image::explain::is_in_use(&error) => {
                tracing::info!("the image {resolved} stays: {error}");
                Ok(())
            }
            Err(error) => Err(refused(format!("could not remove the image {resolved}"), &error)),
        }
    }

    /// The image as the engine has it.
    async fn local(&self, name: &str) -> Result<Option<ImageInspect>, Failure> {
        match self.docker.inspect_image(name).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if explain::status(&error) == Some(404) => Ok(None),
            Err(error) => Err(refused(format!("could not look for the image {name}"), &error)),
        }
    }

    /// An image for another processor fails at its start with words that nobody understands; so it is looked at before.
    async fn check_platform(&self, image: &ImageSpec, found: &ImageInspect) -> Result<(), Failure> {
        let Some(built) = found.architecture.clone().filter(|_| image.platform.is_none()) else { return Ok(()) };
        let version = self.docker.version().await;
        let host = version.ok().and_then(|version| version.arch).unwrap_or_else(|| built.clone());
        if built == host || built.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("the image {} is for {built}, and this host is {host}", image.reference)).hint(
            format!("build it with `--platform linux/{host}`, or give `platform` if this host can emulate {built}"),
        ))
    }
}

/// A local image's own digest if it has one from this repository, else its id.
fn known_as(local: &ImageInspect, reference: &Reference) -> String {
    let repository = reference.repository();
    let digests = local.repo_digests.iter().flatten();
    let known = digests.into_iter().find(|digest| digest.split('@').next() == Some(repository.as_str()));
    known.cloned().or_else(|| local.id.clone()).unwrap_or_default()
}

/// The login that came with the order, else the one in the store of whoever runs this.
fn credentials(image: &ImageSpec, reference: &Reference) -> Result<Option<DockerCredentials>, Failure> {
    let login = match (&image.login, login::folder()) {
        (Some(login), _) => Some(login.clone()),
        (None, Some(folder)) => login::of_image(&image.reference, &folder)?,
        (None, None) => None,
    };
    Ok(login.map(|Login { user, password }| {
        let (user, password) = (Some(user), Some(password.reveal().to_owned()));
        let serveraddress = Some(reference.host().to_owned());
        if user.as_deref() == Some(login::TOKEN) {
            return DockerCredentials { identitytoken: password, serveraddress, ..DockerCredentials::default() };
        }
        DockerCredentials { username: user, password, serveraddress, ..DockerCredentials::default() }
    }))
}
