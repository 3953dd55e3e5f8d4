//! For whoever watches the service: is it alive, is it ready, what has it counted.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::faces::Faces;

/// `GET /livez`: the process answers.
pub(super) async fn livez() -> Response {
    Json(json!({"status": "alive"})).into_response()
}

/// `GET /readyz`: 200, or 503 with the reason.
pub(super) async fn readyz(State(faces): State<Faces>) -> Response {
    match faces.board.readiness((faces.now)()) {
        Ok(()) => Json(json!({"status": "ready"})).into_response(),
        Err(reason) => {
            let body = json!({"status": "not ready", "reason": reason});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// `GET /metrics`: Prometheus's text format.
pub(super) async fn metrics(State(faces): State<Faces>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], faces.recorder.render()).into_response()
}
