//! The mail preferences of users.

use std::collections::BTreeSet;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::preference::{Column, Entity, Model};
use crate::kinds::Kind;
use crate::preferences::{Preferences, Wanted};

/// The defaults if they were never changed.
pub async fn find(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Preferences, DbErr> {
    let row = Entity::find_by_id(user_id.to_string()).one(db).await?;
    Ok(of(user_id, row))
}

/// As [`find`], locked: two concurrent changes would take the same version.
pub async fn lock(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Preferences, DbErr> {
    // A missing row cannot be locked, so insert it first.
    let row = row(&Preferences::unchanged(user_id)).into_active_model();
    Entity::insert(row)
        .on_conflict(OnConflict::column(Column::UserId).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    let locked = Entity::find_by_id(user_id.to_string()).lock_exclusive();
    Ok(of(user_id, locked.one(db).await?))
}

pub async fn update(db: &impl ConnectionTrait, preferences: &Preferences) -> Result<(), DbErr> {
    let row = row(preferences).into_active_model().reset_all();
    Entity::update(row).exec(db).await?;
    Ok(())
}

pub async fn delete(db: &impl ConnectionTrait, user_id: Uuid) -> Result<(), DbErr> {
    Entity::delete_by_id(user_id.to_string()).exec(db).await?;
    Ok(())
}

/// The kinds with a column of their own, which the first release uses. The column `refused` has the others.
fn columns(row: &mut Model) -> [(Kind, &mut bool); 4] {
    [
        (Kind::OrderPlaced, &mut row.order_placed),
        (Kind::OrderConfirmed, &mut row.order_confirmed),
        (Kind::OrderShipped, &mut row.order_shipped),
        (Kind::OrderCancelled, &mut row.order_cancelled),
    ]
}

fn row(preferences: &Preferences) -> Model {
    let mut row = Model {
        user_id: preferences.user_id.to_string(),
        order_placed: true,
        order_confirmed: true,
        order_shipped: true,
        order_cancelled: true,
        refused: String::new(),
        version: preferences.version,
        updated_at_ms: preferences.updated_at_ms,
    };
    let wanted = &preferences.wanted;
    let mut refused: BTreeSet<Kind> = wanted.refused().collect();
    for (kind, is_wanted) in columns(&mut row) {
        *is_wanted = !refused.remove(&kind);
    }
    let names = refused.iter().map(|kind| kind.name());
    let names = names.chain(wanted.unknown.iter().map(String::as_str));
    row.refused = names.collect::<Vec<&str>>().join(" ");
    row
}

pub(super) fn of(user_id: Uuid, row: Option<Model>) -> Preferences {
    let Some(mut row) = row else {
        return Preferences::unchanged(user_id);
    };
    let mut wanted = Wanted::default();
    for name in row.refused.split_whitespace() {
        match Kind::all().find(|kind| kind.name() == name) {
            Some(kind) => wanted.set(kind, false),
            None => {
                wanted.unknown.insert(name.to_owned());
            }
        }
    }
    // Afterwards: the columns win.
    for (kind, is_wanted) in columns(&mut row) {
        wanted.set(kind, *is_wanted);
    }
    Preferences {
        user_id,
        wanted,
        version: row.version,
        updated_at_ms: row.updated_at_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_kinds_are_read_as_they_were_written() {
        for kind in Kind::all() {
            let mut preferences = Preferences::unchanged(Uuid::nil());
            preferences.wanted.set(kind, false);
            preferences
                .wanted
                .unknown
                .insert("order_returned".to_owned());
            let stored = row(&preferences);
            assert_eq!(of(Uuid::nil(), Some(stored)), preferences, "{kind:?}");
        }
    }

    #[test]
    fn a_kind_without_a_column_is_refused_by_its_name() {
        let mut preferences = Preferences::unchanged(Uuid::nil());
        preferences.wanted.set(Kind::OrderShipped, false);
        preferences.wanted.set(Kind::Welcome, false);
        let stored = row(&preferences);
        assert!(stored.order_placed && !stored.order_shipped);
        assert_eq!(stored.refused, "welcome");
    }
}
