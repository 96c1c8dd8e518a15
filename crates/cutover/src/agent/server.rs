//! The agent's socket: HTTP over a Unix socket, because any tool can speak it and permissions come with the file.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use cutover_core::plan::Refusal;
use cutover_core::{DeploymentId, Failure, ServiceName};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Agent;
use super::api::{Agree, Begin, Begun, Come, LockFor, Notify, Problem, Reason, Request, TakeDown, TestNotify};
use crate::engine::{CommandError, Steer};

type Shared = State<Arc<Agent>>;
type Answer = Result<Response, Refused>;

/// All that can be asked.
pub fn routes(agent: Arc<Agent>, leave: Arc<tokio::sync::Notify>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/stats", get(stats))
        .route("/v1/plan", post(plan))
        .route("/v1/deployments", post(begin))
        .route("/v1/deployments/{id}", get(story))
        .route("/v1/agree", post(agree))
        .route("/v1/events", get(events))
        .route("/v1/services/{name}/history", get(history))
        .route("/v1/services/{name}/logs", get(logs))
        .route("/v1/services/{name}/progress", get(progress))
        .route("/v1/services/{name}/abort", post(abort))
        .route("/v1/services/{name}/pause", post(pause))
        .route("/v1/services/{name}/resume", post(resume))
        .route("/v1/services/{name}/promote", post(promote))
        .route("/v1/services/{name}/lock", post(lock))
        .route("/v1/services/{name}/unlock", post(unlock))
        .route("/v1/services/{name}/maintenance/on", post(take_down))
        .route("/v1/services/{name}/maintenance/off", post(take_up))
        .route("/v1/services/{name}/notify", post(notify))
        .route("/v1/notify/test", post(test_notify))
        .route(
            "/v1/stop",
            post(move || async move {
                leave.notify_one();
                Json(serde_json::json!({}))
            }),
        )
        .with_state(agent)
}

async fn status(State(agent): Shared) -> Response {
    Json(agent.status().await).into_response()
}

/// Empty while the proxy does not answer: what it has counted is gone or will be told later.
async fn stats(State(agent): Shared) -> Response {
    Json(agent.engine.world().router.stats().await.unwrap_or_default()).into_response()
}

async fn plan(State(agent): Shared, Json(request): Json<Request>) -> Answer {
    let planned = agent.engine.plan(&request).await;
    answer(&agent, Some(&request.service), planned)
}

/// Begins, or waits for the service to be free and then begins.
async fn begin(State(agent): Shared, Json(begin): Json<Begin>) -> Answer {
    let service = begin.request.service.clone();
    loop {
        match agent.engine.begin(&begin.request).await {
            Err(CommandError::Refused(Refusal::Busy { deployment, .. })) if begin.wait => {
                agent.engine.ended(&service, deployment).await;
            }
            begun => return answer(&agent, Some(&service), begun.map(|deployment| Begun { deployment })),
        }
    }
}

/// Lets deployments count that wait for each other.
async fn agree(State(agent): Shared, Json(agree): Json<Agree>) -> Answer {
    let agreed = agent.engine.agree(&agree.members, &agree.by).await;
    answer(&agent, None, agreed.map(|()| serde_json::json!({})))
}

async fn story(State(agent): Shared, Path(id): Path<u64>) -> Answer {
    match agent.story(DeploymentId(id)).await {
        Ok(Some(story)) => Ok(Json(story).into_response()),
        Ok(None) => {
            let failure = Failure::new(format!("there is no deployment {id}"));
            Err(Refused(StatusCode::NOT_FOUND, Box::new(problem(failure))))
        }
        Err(error) => Err(refused(&agent, None, error)),
    }
}

async fn history(State(agent): Shared, Path(service): Path<ServiceName>) -> Answer {
    let history = agent.history(&service).await;
    answer(&agent, Some(&service), history)
}

async fn progress(State(agent): Shared, Path(service): Path<ServiceName>) -> Response {
    let (progress, awaits_others) = (agent.engine.progress(&service), agent.engine.awaits_others(&service));
    Json(Come { progress, awaits_others }).into_response()
}

async fn pause(state: Shared, name: Path<ServiceName>, why: Json<Reason>) -> Answer {
    steer(state, name, why, Steer::Pause).await
}

async fn resume(state: Shared, name: Path<ServiceName>, why: Json<Reason>) -> Answer {
    steer(state, name, why, Steer::Resume).await
}

async fn promote(state: Shared, name: Path<ServiceName>, why: Json<Reason>) -> Answer {
    steer(state, name, why, Steer::Promote).await
}

async fn steer(
    State(agent): Shared,
    Path(service): Path<ServiceName>,
    Json(why): Json<Reason>,
    steer: Steer,
) -> Answer {
    let steered = agent.engine.steer(&service, &why.by, steer).await;
    answer(&agent, Some(&service), steered.map(|deployment| Begun { deployment }))
}

async fn abort(State(agent): Shared, Path(service): Path<ServiceName>, Json(why): Json<Reason>) -> Answer {
    let aborted = agent.engine.abort(&service, &why.by, &why.reason).await;
    answer(&agent, Some(&service), aborted.map(|deployment| Begun { deployment }))
}

async fn lock(State(agent): Shared, Path(service): Path<ServiceName>, Json(lock): Json<LockFor>) -> Answer {
    let time = Duration::from_secs(lock.seconds);
    let locked = agent.engine.lock(&service, &lock.by, &lock.reason, time).await;
    answer(&agent, Some(&service), locked.map(|()| serde_json::json!({})))
}

async fn unlock(State(agent): Shared, Path(service): Path<ServiceName>, Json(why): Json<Reason>) -> Answer {
    let unlocked = agent.engine.unlock(&service, &why.by).await;
    answer(&agent, Some(&service), unlocked.map(|()| serde_json::json!({})))
}

async fn take_down(State(agent): Shared, Path(service): Path<ServiceName>, Json(take): Json<TakeDown>) -> Answer {
    let taken = agent.engine.take_down(&service, &take.by, &take.reason, take.settings).await;
    answer(&agent, Some(&service), taken.map(|()| serde_json::json!({})))
}

async fn take_up(State(agent): Shared, Path(service): Path<ServiceName>, Json(why): Json<Reason>) -> Answer {
    let taken = agent.engine.take_up(&service, &why.by).await;
    answer(&agent, Some(&service), taken.map(|()| serde_json::json!({})))
}

async fn notify(State(agent): Shared, Path(service): Path<ServiceName>, Json(told): Json<Notify>) -> Answer {
    let saved = agent.journal.save_notify(&service, &told.notify).await.map_err(CommandError::from);
    answer(&agent, Some(&service), saved.map(|()| serde_json::json!({})))
}

async fn test_notify(State(agent): Shared, Json(test): Json<TestNotify>) -> Response {
    Json(agent.notifier.test(&test.notify, &test.by).await).into_response()
}

/// Which events are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct EventsQuery {
    pub(super) service: Option<ServiceName>,
    pub(super) deployment: Option<u64>,
    pub(super) after: u64,
    pub(super) follow: bool,
}

async fn events(State(agent): Shared, Query(query): Query<EventsQuery>) -> Response {
    let (to, lines) = mpsc::channel(64);
    tokio::spawn(async move { agent.tell_events(query, to).await });
    json_lines(lines)
}

/// Which log lines are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LogsQuery {
    pub(super) release: Option<u32>,
    pub(super) instance: Option<u32>,
    pub(super) lines: Option<usize>,
    pub(super) follow: bool,
}

async fn logs(State(agent): Shared, Path(service): Path<ServiceName>, Query(query): Query<LogsQuery>) -> Answer {
    let instances = agent.logged_instances(&service, &query).map_err(|error| refused(&agent, Some(&service), error))?;
    let (to, lines) = mpsc::channel(64);
    tokio::spawn(async move { agent.tell_logs(service, instances, query, to).await });
    Ok(json_lines(lines))
}

fn json_lines<T: Serialize + Send + 'static>(lines: mpsc::Receiver<T>) -> Response {
    let stream = stream::unfold(lines, |mut lines| async move {
        let mut text = serde_json::to_vec(&lines.recv().await?).unwrap_or_default();
        text.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(text)), lines))
    });
    ([("content-type", "application/x-ndjson")], Body::from_stream(stream)).into_response()
}

/// An answer that says why something was not done.
pub struct Refused(StatusCode, Box<Problem>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

fn answer<T: Serialize>(agent: &Agent, service: Option<&ServiceName>, outcome: Result<T, CommandError>) -> Answer {
    match outcome {
        Ok(value) => Ok(Json(value).into_response()),
        Err(error) => Err(refused(agent, service, error)),
    }
}

fn problem(error: Failure) -> Problem {
    Problem { error, refusal: None, live: None }
}

fn refused(agent: &Agent, service: Option<&ServiceName>, error: CommandError) -> Refused {
    let live = service.and_then(|service| agent.live_line(service));
    let (status, told) = match error {
        CommandError::Refused(refusal) => {
            let failure = Failure { hint: refusal.hint(), ..Failure::new(refusal.to_string()) };
            (StatusCode::CONFLICT, Problem { refusal: Some(refusal), ..problem(failure) })
        }
        CommandError::Journal(error) => (StatusCode::SERVICE_UNAVAILABLE, problem(error.0)),
        CommandError::Failed(failure) => (StatusCode::UNPROCESSABLE_ENTITY, problem(failure)),
    };
    Refused(status, Box::new(Problem { live, ..told }))
}
