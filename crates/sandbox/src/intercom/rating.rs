//! Ratings: asked for, given, changed, remarked upon.

use super::{
    action::Action,
    model::{Author, Model, Part, PartKind, Rating},
    perform::Outcome,
    spec::ActionError,
};

impl Model {
    pub(crate) fn on_rating(&mut self, action: &Action, at: i64) -> Result<Outcome, ActionError> {
        match action {
            Action::RequestRating { conversation } => {
                let index = self.thread_index(conversation)?;
                self.ask_for_rating(index, at)?;
                Ok(self.quietly(index, Vec::new()))
            }
            Action::Rate { conversation, score, remark } => {
                let index = self.thread_index(conversation)?;
                if !(1..=5).contains(score) {
                    return Err(ActionError::Impossible("a score is 1 to 5"));
                }
                if self.threads[index].rating.is_none() {
                    self.ask_for_rating(index, at)?;
                }
                if let Some(rating) = &mut self.threads[index].rating {
                    rating.score = Some(*score);
                    rating.updated_at = at;
                    if let Some(remark) = remark {
                        rating.remark = Some(remark.clone().into());
                    }
                }
                let part = self.add_part(index, Part::new(PartKind::RatingChanged, Author::Bot, at));
                Ok(self.about(index, "conversation.rating.added", vec![part], at))
            }
            Action::AddRemark { conversation, remark } => {
                let index = self.thread_index(conversation)?;
                let rating = self.threads[index].rating.as_mut().filter(|rating| rating.score.is_some());
                let rating = rating.ok_or(ActionError::Impossible("there is no rating to remark upon"))?;
                rating.remark = Some(remark.clone().into());
                rating.updated_at = at;
                let part = self.add_part(index, Part::new(PartKind::RatingRemark, Author::Bot, at));
                Ok(self.about(index, "conversation.rating.added", vec![part], at))
            }
            _ => Err(ActionError::Impossible("not an action on a rating")),
        }
    }

    /// A new request replaces an older rating: only the newest one is visible.
    pub(crate) fn ask_for_rating(&mut self, index: usize, at: i64) -> Result<(), ActionError> {
        let Author::Contact(contact) = self.speaker(index, None)? else { return Ok(()) };
        let thread = &mut self.threads[index];
        let admin = thread.admin.unwrap_or(1);
        thread.rating =
            Some(Box::new(Rating { asked_at: at, score: None, remark: None, updated_at: at, contact, admin }));
        thread.updated_at = thread.updated_at.max(at);
        Ok(())
    }
}
