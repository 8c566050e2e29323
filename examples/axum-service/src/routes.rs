//! The service's own API: `GET /notes`, `POST /notes`.

use crate::notes::{Note, Notes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use rusqlite::ErrorCode;

type Answer<T> = Result<T, (StatusCode, String)>;

pub(crate) fn of(notes: Notes) -> Router {
    Router::new().route("/notes", get(list).post(add)).with_state(notes)
}

async fn list(State(notes): State<Notes>) -> Answer<Json<Vec<Note>>> {
    blocking(move || notes.list()).await.map(Json)
}

async fn add(State(notes): State<Notes>, text: String) -> Answer<(StatusCode, Json<Note>)> {
    blocking(move || notes.add(&text)).await.map(|note| (StatusCode::CREATED, Json(note)))
}

/// Runs in a thread, because SQLite blocks. The work continues if the client disconnects, so its outcome is recorded.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> Answer<T> {
    let result = tokio::task::spawn_blocking(work).await;
    let result = result.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    result.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    })
}
