//! Networks: made if they are missing, and addresses in them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use bollard::Docker;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect};
use cutover_core::Failure;
use cutover_core::spec::{Attachment, NetworkSpec};

use super::engine::{is_missing, refused};

/// Sees to it that a network is there.
pub async fn provide(docker: &Docker, attachment: &Attachment) -> Result<(), Failure> {
    let name = &attachment.network;
    if let Some(found) = find(docker, name).await? {
        return check_range(attachment, ranges(found.ipam));
    }
    let Some(spec) = &attachment.create else {
        return Err(Failure::new(format!("there is no network {name}"))
            .hint(format!("`docker network create {name}` makes it; or give its subnet, then cutover does")));
    };
    match docker.create_network(request(name, spec)).await {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(_) if docker.inspect_network(name, None).await.is_ok() => Ok(()),
        // Perhaps it is one that came after the plan.
        Err(error) => Err(taken(docker, name, spec)
            .await
            .unwrap_or_else(|| refused(format!("could not make the network {name}"), &error))),
    }
}

/// Whether a network that is to be made is there as it should be, or could be made.
pub async fn can_provide(docker: &Docker, attachment: &Attachment) -> Result<(), Failure> {
    let (name, Some(spec)) = (&attachment.network, &attachment.create) else { return Ok(()) };
    match find(docker, name).await? {
        Some(found) => check_range(attachment, ranges(found.ipam)),
        None => taken(docker, name, spec).await.map_or(Ok(()), Err),
    }
}

async fn find(docker: &Docker, name: &str) -> Result<Option<NetworkInspect>, Failure> {
    match docker.inspect_network(name, None).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(refused(format!("could not look at the network {name}"), &error)),
    }
}

/// Why a network cannot be made: another one has its range, or a part of it.
async fn taken(docker: &Docker, name: &str, spec: &NetworkSpec) -> Option<Failure> {
    let subnet = spec.subnet.as_ref()?;
    let (owner, range) = owner_of(docker, subnet).await?;
    let failure =
        Failure::new(format!("could not make the network {name} with {subnet}: the network {owner} has {range}"));
    Some(failure.hint(format!("choose another subnet, or `docker network rm {owner}` if nobody needs it")))
}

/// One that is there already must have the range that was asked for: else its fixed addresses are nobody's.
fn check_range(attachment: &Attachment, found: Vec<String>) -> Result<(), Failure> {
    let wanted = attachment.create.as_ref().and_then(|create| create.subnet.as_ref());
    let Some(wanted) = wanted.filter(|wanted| !found.is_empty() && !found.contains(wanted)) else { return Ok(()) };
    let (name, found) = (&attachment.network, found.join(" and "));
    let failure = Failure::new(format!("the network {name} has {found}, and the configuration says {wanted}"));
    Err(failure.hint(format!(
        "write {found} into the configuration, or `docker network rm {name}` when nobody uses it: then it is made anew"
    )))
}

fn ranges(ipam: Option<Ipam>) -> Vec<String> {
    let configs = ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    configs.into_iter().filter_map(|config| config.subnet).collect()
}

fn request(name: &str, spec: &NetworkSpec) -> NetworkCreateRequest {
    let config = IpamConfig {
        subnet: spec.subnet.clone(),
        ip_range: spec.ip_range.clone(),
        gateway: spec.gateway.map(|gateway| gateway.to_string()),
        ..IpamConfig::default()
    };
    let map = |map: &BTreeMap<String, String>| map.clone().into_iter().collect::<HashMap<_, _>>();
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some(spec.driver.clone().unwrap_or_else(|| "bridge".to_owned())),
        internal: Some(spec.internal),
        attachable: Some(true),
        ipam: spec.subnet.as_ref().map(|_| Ipam { config: Some(vec![config]), ..Ipam::default() }),
        options: Some(map(&spec.options)),
        labels: Some(map(&spec.labels)),
        ..NetworkCreateRequest::default()
    }
}

/// Which network has a range that overlaps, and which range.
async fn owner_of(docker: &Docker, subnet: &str) -> Option<(String, String)> {
    let networks = docker.list_networks(None).await.ok()?;
    networks.into_iter().find_map(|network| {
        let taken = ranges(network.ipam).into_iter().find(|range| overlap(range, subnet))?;
        Some((network.name?, taken))
    })
}

/// Whether two ranges in CIDR notation share an address.
fn overlap(one: &str, other: &str) -> bool {
    use cutover_core::table::Network;
    let (Ok(one), Ok(other)) = (Network::try_from(one.to_owned()), Network::try_from(other.to_owned())) else {
        return false;
    };
    one.contains(other.address) || other.contains(one.address)
}

/// The fixed address for a new instance: the first that nobody holds. `reserved` are those of our own that are not running.
pub async fn free_address(
    docker: &Docker,
    attachment: &Attachment,
    reserved: &HashSet<IpAddr>,
) -> Result<Option<IpAddr>, Failure> {
    if attachment.addresses.is_empty() {
        return Ok(None);
    }
    let name = &attachment.network;
    let held = holders(docker, name).await?;
    let free = |address: &&IpAddr| !held.contains_key(*address) && !reserved.contains(*address);
    if let Some(free) = attachment.addresses.iter().find(free) {
        return Ok(Some(*free));
    }
    let who = |address: &IpAddr| match held.get(address) {
        Some(holder) => format!("{address} is held by {holder}"),
        None => format!("{address} is kept for an instance that is being started"),
    };
    let all: Vec<String> = attachment.addresses.iter().map(who).collect();
    Err(Failure::new(format!("none of the addresses in {name} is free: {}", all.join(", ")))
        .hint("stop what holds one of them, or give more addresses: twice as many as there are replicas"))
}

/// Who holds which address of a network.
async fn holders(docker: &Docker, network: &str) -> Result<HashMap<IpAddr, String>, Failure> {
    let seen = docker.inspect_network(network, None).await;
    let seen = seen.map_err(|error| refused(format!("could not look at the network {network}"), &error))?;
    let containers = seen.containers.unwrap_or_default().into_values();
    let held = containers.filter_map(|resource| {
        let address = resource.ipv4_address.filter(|text| !text.is_empty()).or(resource.ipv6_address)?;
        let address = address.split('/').next()?.parse().ok()?;
        Some((address, resource.name.unwrap_or_default()))
    });
    Ok(held.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_overlap_if_one_holds_the_other() {
        assert!(overlap("172.20.0.0/16", "172.20.5.0/24"));
        assert!(overlap("172.20.5.0/24", "172.20.0.0/16"));
        assert!(!overlap("172.20.0.0/16", "172.21.0.0/16"));
        assert!(!overlap("nonsense", "172.21.0.0/16"));
    }
}
