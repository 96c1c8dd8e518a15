//! Takes care of instances that no deployment is busy with: those that serve are started again when they die, those that
//! retire are stopped when they may be.

mod alive;
mod retire;

use std::sync::{Arc, PoisonError};

use cutover_core::machine::{Duty, ServiceState};
use cutover_core::{InstanceId, ServiceName};

use super::Parts;

impl Parts {
    /// Sees to it that each instance that needs care has a task that cares for it.
    pub(super) async fn care_for_all(self: Arc<Self>) {
        loop {
            let seen = self.ledger.view().last_seq;
            let states: Vec<ServiceState> = self.ledger.view().services.values().cloned().collect();
            for state in states {
                let uncared = state.instances_with(|i| i.is_kept_alive() || matches!(i.duty, Duty::Retiring { .. }));
                for instance in uncared {
                    self.care_for(state.name.clone(), instance);
                }
            }
            self.ledger.changed_since(seen).await;
        }
    }

    fn care_for(self: &Arc<Self>, service: ServiceName, instance: InstanceId) {
        let fresh = self.cared_for.lock().unwrap_or_else(PoisonError::into_inner).insert(instance.clone());
        if fresh {
            self.spawn(|parts| async move { parts.care(&service, &instance).await });
        }
    }

    /// Cares for one instance until it is gone or needs none.
    async fn care(&self, service: &ServiceName, instance: &InstanceId) {
        loop {
            let state = self.ledger.state(service);
            match state.instances.get(instance) {
                Some(found) if found.is_kept_alive() => self.keep_alive(service, instance, found).await,
                Some(found) => match found.duty {
                    Duty::Retiring { .. } => self.retire_in_time(service, instance).await,
                    _ => break,
                },
                None => break,
            }
        }
        self.cared_for.lock().unwrap_or_else(PoisonError::into_inner).remove(instance);
    }
}
