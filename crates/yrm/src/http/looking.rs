//! Who may look at the history, the schedule and the figures: they name packages, which may be nobody else's business.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::answers::problem;
use super::crowd::Guest;
use super::faces::Faces;
use super::forwarded;
use super::gateway::CertificateNames;
use crate::config::ApiAccess;

/// Lets a request on, if whoever makes it may look. Whether the service is ready is for everybody, and why it is not for those.
pub(super) async fn may_look(
    State(faces): State<Faces>,
    Extension(guest): Extension<Guest>,
    request: Request,
    next: Next,
) -> Response {
    let is_state = request.uri().path() == "/readyz";
    let certificate = request.extensions().get::<CertificateNames>().cloned();
    let headers = request.headers().clone();
    let refused = refused(&faces, &guest, (&headers, certificate.as_ref())).await;
    match refused {
        None => next.run(request).await,
        Some(_) if is_state => {
            let answer = next.run(request).await;
            if answer.status().is_success() { answer } else { problem(answer.status(), "not ready") }
        }
        Some(refused) => refused,
    }
}

async fn refused(faces: &Faces, guest: &Guest, shown: (&HeaderMap, Option<&CertificateNames>)) -> Option<Response> {
    let from = forwarded::address(guest.address(), shown.0, &faces.watching.trusted_proxies);
    match faces.api_access {
        ApiAccess::Public => None,
        ApiAccess::Loopback => (!from.is_loopback())
            .then(|| problem(StatusCode::FORBIDDEN, "this is answered on the service's own machine only (api-access)")),
        ApiAccess::Token => match (faces.gateway.as_deref(), faces.bucket.get()) {
            (Some(gateway), Some(bucket)) => gateway.may_look(&bucket, from, shown, (faces.now)()).await,
            _ => Some(problem(StatusCode::SERVICE_UNAVAILABLE, "who asks cannot be found out now; try again")),
        },
    }
}
