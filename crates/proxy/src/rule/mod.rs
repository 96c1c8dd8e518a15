//! What is done with the requests of a service besides passing them on.
//!
//! A rule is compiled when its table is published. A request of a service that has any is judged once, from its head, without
//! waiting for anything ([`LiveRules::judge`]); what then takes time is done off this path ([`act`]). The heads that go on are
//! written by `serve::forward` as always, and changed afterwards in the one canonical form that they have by then, so that a
//! service without rules pays one comparison for all of this.
//!
//! The agent's own looks (with a token) pass by all rules that answer in place of the service: it asks who serves, not who is let
//! in. Who looks at a preview passes by those about who comes.

mod access;
mod act;
pub mod compress;
mod edit;
mod files;
mod judge;
mod redirect;

use std::sync::Arc;

#[cfg(any(test, fuzzing))]
pub use files::file_of;

use cutover_core::rules::{Coding, Files, Page, Rules};

pub use access::Memory;
pub use act::{Manners, act};
pub use judge::{Judged, Visitor};

use crate::http::request::Request;
use crate::http::response::Response;
use crate::serve::refuse::Refusal;
use compress::Shape;
use edit::Edit;

/// The rules of a service while it is served.
#[derive(Debug)]
pub struct LiveRules {
    spec: Rules,
    request: Edit,
    answer: Edit,
    pages: Vec<(u16, Arc<Page>)>,
    maintenance: Option<Arc<Page>>,
    /// The longest prefix first.
    files: Vec<Files>,
}

impl LiveRules {
    /// Compiles what was published.
    pub fn new(spec: &Rules) -> Self {
        let mut files = spec.files.clone();
        files.sort_by_key(|files| std::cmp::Reverse(files.path.trim_end_matches('/').len()));
        Self {
            request: Edit::new(&spec.request_fields),
            answer: Edit::new(&spec.answer_fields),
            pages: spec.pages.iter().map(|(status, page)| (*status, Arc::new(page.clone()))).collect(),
            maintenance: spec.maintenance.as_ref().and_then(|down| down.page.clone()).map(Arc::new),
            files,
            spec: spec.clone(),
        }
    }

    /// Changes the head that an instance gets, which is all of `head`.
    pub fn edit_request(&self, head: &mut Vec<u8>) {
        self.redirect_target(head);
        self.request.apply(head);
    }

    /// Changes the head that a client gets, which is all of `head`.
    pub fn edit_answer(&self, head: &mut Vec<u8>) {
        self.answer.apply(head);
    }

    /// The coding in which this client takes answers.
    pub fn accepted(&self, head: &[u8], request: &Request) -> Option<Coding> {
        compress::accepted(self.spec.compress.as_ref()?, head, request)
    }

    /// What becomes of an answer for a client that takes this coding.
    pub fn shape(&self, coding: Option<Coding>, response: &Response, head: &[u8]) -> Shape {
        self.spec.compress.as_ref().map_or(Shape::Plain, |rule| compress::shape(rule, coding, response, head))
    }

    /// The refusal as the clients of this service are to see it.
    pub fn dress(&self, refusal: Refusal) -> Refusal {
        match self.pages.iter().find(|(status, _)| *status == refusal.status) {
            Some((_, page)) if !refusal.has_page() => refusal.with_page(page),
            _ => refusal,
        }
    }
}
