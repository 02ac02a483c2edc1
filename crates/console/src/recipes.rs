//! Recipes: what can be made in Klaviyo, and making it.

use std::sync::Arc;

use app::recipes::{RecipeBook, RecipeError, RecipeReport};
use axum::extract::{Path, State};
use axum::response::Response;
use domain::recipes::Recipe;
use http::StatusCode;
use serde::Serialize;

use crate::answer;
use crate::routes::Shared;

#[derive(Serialize)]
struct RecipeList {
    recipes: Vec<RecipeReport>,
}

/// `GET /api/recipes`.
pub(crate) async fn list<S, V, C>(State(console): Shared<S, V, C>) -> Response {
    let Some(book) = &console.desk.recipes else { return no_key() };
    match book.list().await {
        Ok(recipes) => answer::json(StatusCode::OK, &RecipeList { recipes }),
        Err(error) => refused(&error),
    }
}

/// `GET /api/recipes/{name}`: where it stands, and the requests that would make it.
pub(crate) async fn preview<S, V, C>(State(console): Shared<S, V, C>, Path(name): Path<String>) -> Response {
    match wanted(console.desk.recipes.as_ref(), &name) {
        Ok((book, recipe)) => told(book.preview(recipe).await),
        Err(answer) => *answer,
    }
}

/// `POST /api/recipes/{name}/apply`: makes it, unless something of its name is there. 409 where something is missing.
pub(crate) async fn apply<S, V, C>(State(console): Shared<S, V, C>, Path(name): Path<String>) -> Response {
    match wanted(console.desk.recipes.as_ref(), &name) {
        Ok((book, recipe)) => {
            let made = book.apply(recipe).await;
            tracing::info!(recipe = recipe.name(), made = made.is_ok(), "a recipe was asked for by hand");
            told(made)
        }
        Err(answer) => *answer,
    }
}

fn wanted<'b>(
    book: Option<&'b Arc<dyn RecipeBook>>,
    name: &str,
) -> Result<(&'b dyn RecipeBook, Recipe), Box<Response>> {
    let recipe = Recipe::find(name).ok_or_else(|| {
        Box::new(answer::error(StatusCode::NOT_FOUND, "there is no recipe of this name: GET /api/recipes has them"))
    })?;
    let book = book.ok_or_else(|| Box::new(no_key()))?;
    Ok((book.as_ref(), recipe))
}

fn told(report: Result<RecipeReport, RecipeError>) -> Response {
    match report {
        Ok(report) => answer::json(StatusCode::OK, &report),
        Err(error) => refused(&error),
    }
}

fn no_key() -> Response {
    answer::error(StatusCode::CONFLICT, "Klaviyo cannot be asked before its API key is set")
}

fn refused(error: &RecipeError) -> Response {
    let status = match error {
        RecipeError::Missing(_) => StatusCode::CONFLICT,
        RecipeError::Call(_) => StatusCode::BAD_GATEWAY,
    };
    answer::error(status, &error.to_string())
}
