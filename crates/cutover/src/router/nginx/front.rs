//! The file of one service in the configuration of one nginx.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use cutover_core::spec::{NginxProgram, NginxRoute};
use cutover_core::table::{Front as TableFront, Mode, Service, Target};
use cutover_core::{Failure, ServiceName};
use tokio::sync::Mutex;

use super::count::Counting;
use super::log::{Log, Who};
use super::place::{self, Place};
use super::probe::{Address, secret};
use super::program::Program;
use super::record::Records;
use super::render::{Server, Wanted, is_whole};

/// A service's file, the nginx that reads it, and what is known of both.
pub struct Front {
    pub(super) service: ServiceName,
    pub(super) route: NginxRoute,
    pub(super) place: Box<dyn Place>,
    pub(super) program: NginxProgram,
    pub(super) records: Records,
    /// What nginx acknowledged to this agent. Held while it is being changed: one switch at a time.
    pub(super) in_force: Mutex<Option<InForce>>,
    pub(super) counting: Counting,
    pub(super) log: Log,
    /// The file of nginx's process number, once it is known.
    pub(super) pid_file: std::sync::OnceLock<Option<String>>,
}

/// Who gets traffic, and who is known to get none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InForce {
    pub(super) servers: Vec<Server>,
    pub(super) others: Vec<Server>,
}

impl Front {
    /// The file of a route.
    pub(super) fn new(service: &ServiceName, route: &NginxRoute, records: &Records) -> Self {
        let (place, program) = place::of(&route.at, &records.folder().join("ssh"));
        Self {
            service: service.clone(),
            route: route.clone(),
            place,
            program,
            records: records.clone(),
            in_force: Mutex::default(),
            counting: Counting::default(),
            log: Log::default(),
            pid_file: std::sync::OnceLock::new(),
        }
    }

    pub(super) fn program(&self) -> Program<'_> {
        Program::new(self.place.as_ref(), &self.program)
    }

    /// Where its state can be asked, and by which secret; `None` where nothing would answer.
    pub(super) fn question(&self, token: Option<&str>) -> Option<(Address, String)> {
        let at = Address::of(self.route.url.as_deref()?)?;
        Some((at, secret(token?, &self.service)))
    }

    /// What is to be written for this state of the service.
    pub(super) fn wanted(&self, serving: &BTreeSet<&cutover_core::InstanceId>, service: &Service) -> Wanted<'_> {
        let InForce { servers, others } = split(&self.route, serving, service);
        let marked = is_whole(&self.route.shape);
        let token = self.question(service.token.as_deref()).filter(|_| marked).map(|(_, secret)| secret);
        Wanted { service: &self.service, servers, others, token }
    }

    /// Those who may have answered, by the addresses that nginx knows them by.
    pub(super) fn who(&self, targets: &[Target]) -> Who {
        let address = |target: &Target| address(&self.route, target);
        let releases: BTreeSet<_> = targets.iter().filter(|target| target.serves()).map(Target::release).collect();
        let one = targets.iter().find(|target| target.serves()).filter(|_| releases.len() == 1);
        Who {
            addresses: targets.iter().map(|target| (address(target), target.instance.clone())).collect(),
            alone: one.map(|target| target.instance.clone()),
        }
    }

    /// The file as a person would name it.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.route.file.display(), self.place.name())
    }

    /// Reads a file where nginx runs.
    pub(super) async fn read(&self, file: &Path) -> Result<Option<Vec<u8>>, Failure> {
        self.place.read(file).await.map_err(Failure::from)
    }
}

/// Where nginx reaches somebody.
fn address(route: &NginxRoute, target: &Target) -> SocketAddr {
    SocketAddr::new(route.advertise.unwrap_or(target.address.ip()), target.address.port())
}

/// Those who are to serve by the table.
pub(super) fn serving(front: &TableFront) -> BTreeSet<&cutover_core::InstanceId> {
    front.serving.iter().collect()
}

/// Those who get traffic: the ones that serve and are up. If none of them is up, all that serve: there is nobody else to send
/// to, and a reload for a crash, and another for its end, would cost more than it gives.
fn split(route: &NginxRoute, serving: &BTreeSet<&cutover_core::InstanceId>, service: &Service) -> InForce {
    let any_up = service.targets.iter().any(Target::serves);
    let gets = |target: &&Target| if any_up { target.serves() } else { serving.contains(&target.instance) };
    let server = |target: &Target| Server {
        instance: target.instance.clone(),
        address: address(route, target),
        weight: if let Mode::Serving { weight } = target.mode { weight } else { 1 },
    };
    let (to, not): (Vec<&Target>, Vec<&Target>) = service.targets.iter().partition(gets);
    InForce { servers: to.into_iter().map(server).collect(), others: not.into_iter().map(server).collect() }
}

#[cfg(test)]
mod tests {
    use cutover_core::spec::{NginxAt, NginxShape};
    use cutover_core::table::{Balance, Limits};

    use super::*;

    fn service(modes: &[Mode]) -> Service {
        let target = |(number, mode): (usize, &Mode)| Target {
            instance: format!("web.r1.i{}", number + 1).parse().unwrap(),
            address: format!("10.0.0.{}:80", number + 1).parse().unwrap(),
            mode: *mode,
            protocol: Default::default(),
            tls: None,
            socket: None,
        };
        Service {
            name: ServiceName::new("web").unwrap(),
            balance: Balance::default(),
            targets: modes.iter().enumerate().map(target).collect(),
            hold: None,
            pin: None,
            limits: Limits::default(),
            token: None,
            rules: None,
            trail: Default::default(),
            spread: Default::default(),
        }
    }

    #[test]
    fn one_that_is_down_is_kept_only_when_nobody_else_serves() {
        let route = NginxRoute {
            at: NginxAt::Host(NginxProgram::default()),
            shape: NginxShape::Down { upstream: "web".to_owned() },
            file: "/x".into(),
            url: None,
            advertise: Some("192.0.2.1".parse().unwrap()),
            access_log: None,
        };
        let ids: Vec<cutover_core::InstanceId> = (1..4).map(|n| format!("web.r1.i{n}").parse().unwrap()).collect();
        let up = Mode::Serving { weight: 3 };
        let of = |modes: &[Mode], serving: &[usize]| {
            let serving = serving.iter().map(|n| &ids[*n]).collect();
            let split = split(&route, &serving, &service(modes));
            let numbers = |servers: Vec<Server>| servers.iter().map(|s| s.instance.number).collect::<Vec<_>>();
            (numbers(split.servers), numbers(split.others))
        };
        assert_eq!(of(&[up, Mode::Draining, Mode::Registered], &[0]), (vec![1], vec![2, 3]));
        assert_eq!(of(&[up, Mode::Draining, Mode::Registered], &[0, 1]), (vec![1], vec![2, 3]), "the second is down");
        assert_eq!(of(&[Mode::Draining, Mode::Draining, Mode::Draining], &[1]), (vec![2], vec![1, 3]), "it is down");
        assert_eq!(of(&[Mode::Draining, Mode::Registered], &[]), (vec![], vec![1, 2]));
        let split = split(&route, &BTreeSet::new(), &service(&[up]));
        assert_eq!((split.servers[0].address.to_string(), split.servers[0].weight), ("192.0.2.1:80".to_owned(), 3));
    }
}
