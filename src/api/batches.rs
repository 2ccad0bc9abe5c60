//! Many at once: bulk submission, the items of a batch, trees, and one action on all jobs that fit a filter.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::error::ApiError;
use crate::api::jobs::{SUBMIT_ERRORS, SUBMIT_HEADERS, bodies, parent, submitted, understood};
use crate::api::query::{Parameter, invalid};
use crate::api::request::Request;
use crate::api::requests::{ACTION_JOBS_MAX, Action, ActionRequest};
use crate::api::route::Route;
use crate::api::{cursor, paging, past, payload, reply, requests};
use crate::domain::batch::{Item, ItemReport, ItemState};
use crate::domain::command::{Answer, Command, Retry};
use crate::domain::event::{Actor, Event};
use crate::domain::id::{Epoch, JobId, Seq};
use crate::domain::job::{Job, StateName};
use crate::domain::json::Json;
use crate::engine::past::rows::PastViews;
use crate::engine::{Handle, SubmitError};
use crate::kinds::request::{BulkRequest, parse_bulk};
use crate::kinds::states::active_states;
use crate::log::LogReader;
use crate::views::query::{JobQuery, LIMIT_MAX};
use crate::views::row::{ItemRow, JobBody, JobRow};

/// About the most bytes of args and results on a page of items: a page of large ones is short, and has a next.
const ITEM_PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many of an action's commands are on their way at once: enough to share commits, few enough to leave room.
const ACTION_COMMANDS_MAX: usize = 256;
/// After this an action begins no more commands and tells what it did, so that no answer of it is lost to the 60 s that
/// a request may take.
const ACTION_TIME_MAX: Duration = Duration::from_secs(40);

const STATE: Parameter =
    Parameter::text("state", "Items in this state.").one_of(&["pending", "completed", "failed", "skipped"]);

/// The jobs of a bulk.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct BulkAnswer {
    /// In the order of the request.
    jobs: Vec<JobBody>,
}

/// A page of the items of a job.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct ItemList {
    /// In the order in which they came.
    items: Vec<ItemRow>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// A page of the jobs of a tree.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct Tree {
    /// The top of the tree.
    root_id: JobId,
    /// In order of submission: a parent stands before its children.
    jobs: Vec<JobRow>,
    /// Where the next page begins; `null` on the last.
    next_cursor: Option<String>,
    /// The answer shows everything up to the event with this number, if not more.
    seq: Seq,
    /// The run of the server that answers.
    epoch: Epoch,
}

/// What an action did, or would do.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct ActionAnswer {
    /// Whether nothing was done, only looked at.
    dry_run: bool,
    /// How many jobs this call looked at.
    #[schemars(range(max = ACTION_JOBS_MAX))]
    matched: usize,
    /// Those that were changed, or would be.
    #[schemars(length(max = ACTION_JOBS_MAX))]
    changed: Vec<JobId>,
    /// Those that were left as they are, or would be.
    #[schemars(length(max = ACTION_JOBS_MAX))]
    skipped: Vec<Skipped>,
    /// Whether more jobs fit the filter: call again.
    more: bool,
}

/// A job that was left as it is, and why.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct Skipped {
    /// The job.
    id: JobId,
    /// The code of the error that a request for this job alone is answered with.
    code: String,
}

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/api/jobs/bulk", submit)
            .named("submit_jobs", "Submits up to 1,000 jobs, all or nothing")
            .explained(
                "Entries may wait for each other: one has a `ref`, others name it as `#ref` in `depends_on`. What is \
                 wrong is named with its entry, as in `/jobs/17/args/steps`.",
            )
            .reads(SUBMIT_HEADERS)
            .body::<BulkRequest>(true)
            .answers::<BulkAnswer>(201, "The jobs in the order of the request.")
            .answers::<BulkAnswer>(200, "The jobs that an earlier request with this key made, as they are now.")
            .fails(SUBMIT_ERRORS),
        Route::new(Method::POST, "/api/jobs/actions", act)
            .named("act_on_jobs", "Cancels or retries the jobs that fit a filter, or that are named")
            .explained("One by one, 10,000 a call at most, and for 40 s: it is not atomic, and `more` says whether to call again.")
            .body::<ActionRequest>(true)
            .answers::<ActionAnswer>(200, "What was done, or with dry_run would be done.")
            .fails(&[
                "invalid_json",
                "forbidden_origin",
                "body_too_large",
                "unsupported_media_type",
                "invalid_request",
                "overloaded",
                "storage_failed",
            ]),
        Route::new(Method::GET, "/api/jobs/{id}/items", items)
            .named("list_items", "Lists the items of a batch")
            .explained("With their args, and what was reported of each. Empty for a job that is no batch.")
            .takes(&[STATE, paging::LIMIT, paging::CURSOR, past::AT])
            .answers::<ItemList>(200, "A page of items in the order in which they came.")
            .fails(&["invalid_query", "job_not_found", "position_lost"]),
        Route::new(Method::GET, "/api/jobs/{id}/tree", tree)
            .named("get_tree", "Lists the jobs of the tree to which a job belongs")
            .explained("The whole tree, whichever of its jobs is named.")
            .takes(&[paging::LIMIT, paging::CURSOR, past::AT])
            .answers::<Tree>(200, "A page of rows in order of submission.")
            .fails(&["invalid_query", "job_not_found", "position_lost"]),
    ]
}

async fn submit(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let (jobs, text) = understood(&ctx, request.json().await?, parse_bulk).await?;
    let (parent, actor) = parent(&ctx, &request)?;
    // Children may have been there before, with other args than these.
    let args = parent.is_none().then(|| jobs.iter().map(|job| job.args.clone()).collect());
    let command = requests::submit(&request, &text, jobs, parent)?;
    let receipt = ctx.handle.submit(command, actor).await.map_err(in_bulk)?;
    let Answer::Submitted { jobs, replayed } = receipt.answer else { unreachable!("a submit answers with its jobs") };
    let jobs = bodies(&ctx, jobs, args.filter(|_: &Vec<Json>| !replayed)).await?;
    Ok(submitted(&request, replayed, receipt.seq, &BulkAnswer { jobs }, None))
}

fn in_bulk(error: SubmitError) -> ApiError {
    match error {
        SubmitError::Refused(refusal) => ApiError::in_bulk(refusal),
        other => other.into(),
    }
}

async fn act(ctx: Arc<ApiContext>, mut request: Request) -> Result<Response, ApiError> {
    let asked = requests::action(&request.json().await?)?;
    let (action, dry_run) = (asked.action, asked.dry_run);
    let (mut found, more) = ctx.blocking(move |ctx| matching(&ctx.handle, asked)).await?;
    if action == Action::Retry {
        // The oldest first: what a job waits for is retried before the job, which could not be otherwise.
        found.reverse();
    }
    let mut answer = ActionAnswer { dry_run, matched: 0, changed: Vec::new(), skipped: Vec::new(), more };
    let (until, all) = (Instant::now() + ACTION_TIME_MAX, found.len());
    let in_time = found.into_iter().take_while(|_| dry_run || Instant::now() < until);
    let done = in_time.map(|(id, state)| {
        let handle = ctx.handle.clone();
        async move { (id, if dry_run { Ok(would(action, state)) } else { apply(&handle, action, id).await }) }
    });
    let mut done = stream::iter(done).buffered(ACTION_COMMANDS_MAX);
    while let Some((id, outcome)) = done.next().await {
        answer.matched += 1;
        match outcome? {
            None => answer.changed.push(id),
            Some(code) => answer.skipped.push(Skipped { id, code: code.to_owned() }),
        }
    }
    answer.more |= answer.matched < all;
    Ok(reply::read(ctx.seq(), &answer))
}

/// A job that an action is for, and its state; none: there is no such job.
type Meant = (JobId, Option<StateName>);

/// The jobs that an action is for, newest first, and whether there are more: those that are named, or those of the
/// filter, and without a state in it those in which it can change something.
fn matching(handle: &Handle, asked: ActionRequest) -> Result<(Vec<Meant>, bool), ApiError> {
    if let Some(ids) = asked.ids {
        return Ok((named(handle, ids)?, false));
    }
    let mut filter = asked.filter;
    if filter.states.is_empty() {
        filter.states = match asked.action {
            Action::Cancel => active_states().collect(),
            Action::Retry => vec![StateName::Failed, StateName::Cancelled],
        };
    }
    let mut query = JobQuery { filter, before: None, limit: LIMIT_MAX };
    let mut found = Vec::new();
    loop {
        query.limit = LIMIT_MAX.min(ACTION_JOBS_MAX - found.len());
        let page = handle.views().list(&query)?;
        found.extend(page.jobs.iter().map(|row| (row.id, Some(row.state))));
        query.before = page.next;
        if page.next.is_none() || found.len() >= ACTION_JOBS_MAX {
            return Ok((found, page.next.is_some()));
        }
    }
}

fn named(handle: &Handle, mut ids: Vec<JobId>) -> Result<Vec<Meant>, ApiError> {
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    ids.into_iter().map(|id| Ok((id, handle.views().row(id)?.map(|row| row.state)))).collect()
}

/// What would become of a job: the code of the refusal, or none.
fn would(action: Action, state: Option<StateName>) -> Option<&'static str> {
    let Some(state) = state else { return Some("job_not_found") };
    match action {
        Action::Cancel => state.is_terminal().then_some("job_is_terminal"),
        Action::Retry => {
            let fits = matches!(state, StateName::Failed | StateName::Cancelled);
            (!fits).then_some("job_not_retryable")
        }
    }
}

async fn apply(handle: &Handle, action: Action, job: JobId) -> Result<Option<&'static str>, ApiError> {
    let command = match action {
        Action::Cancel => Command::Cancel { job, children: false },
        Action::Retry => {
            Command::Retry(Retry { job, only_failed_items: false, dependents: false, finished: Vec::new() })
        }
    };
    match handle.submit(command, Actor::CLIENT).await {
        Ok(_) => Ok(None),
        Err(SubmitError::Refused(refusal)) => Ok(Some(refusal.code())),
        Err(SubmitError::Overloaded) => Ok(Some("overloaded")),
        Err(other) => Err(other.into()),
    }
}

async fn items(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let state = request.query.text("state").map(item_state).transpose()?;
    let limit = paging::limit(&request.query)?;
    let at = past::at(&ctx, &request.query)?;
    let scope = past::scope(format!("items {id} {state:?}"), at);
    let from = cursor::read(&request.query, &scope)?.unwrap_or(0) as usize;
    let asked = Asked { state, from, limit };
    let seq = at.unwrap_or(ctx.seq());
    let not_found = move || ApiError::job_not_found(id);
    let (items, next) = match at {
        Some(at) => {
            let page =
                move |past: &PastViews| item_page(&*past.job(id)?.ok_or_else(not_found)?, &*past.log_of(id), &asked);
            past::looking_back(&ctx, at, page).await?
        }
        None => {
            let page = move |ctx: &ApiContext| {
                item_page(&*ctx.handle.views().job(id)?.ok_or_else(not_found)?, &**ctx.handle.log(), &asked)
            };
            ctx.blocking(page).await?
        }
    };
    let next_cursor = next.map(|place| cursor::write(&scope, place as u128));
    Ok(reply::read(seq, &ItemList { items, next_cursor, seq, epoch: ctx.identity.epoch }))
}

fn item_state(text: &str) -> Result<ItemState, ApiError> {
    match text {
        "pending" => Ok(ItemState::Pending),
        "completed" => Ok(ItemState::Completed),
        "failed" => Ok(ItemState::Failed),
        "skipped" => Ok(ItemState::Skipped),
        _ => Err(invalid("state", "must be pending, completed, failed or skipped")),
    }
}

/// Which items are asked for.
struct Asked {
    state: Option<ItemState>,
    /// The place at which the page begins.
    from: usize,
    limit: usize,
}

/// The items of a job that are asked for, and the place at which the next page begins.
fn item_page(job: &Job, log: &dyn LogReader, asked: &Asked) -> Result<(Vec<ItemRow>, Option<usize>), ApiError> {
    let Some(items) = job.items() else { return Ok((Vec::new(), None)) };
    let list = items.list();
    let fits = |item: &Item| asked.state.is_none_or(|state| item.state == state);
    let found = list.iter().enumerate().skip(asked.from).filter(|(_, item)| fits(item));
    let mut payloads = ItemPayloads { log, args: BTreeMap::new(), reports: BTreeMap::new() };
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for (place, item) in found {
        if rows.len() == asked.limit || bytes >= ITEM_PAGE_BYTES_MAX {
            return Ok((rows, Some(place)));
        }
        let row = payloads.row(item)?;
        bytes += row.args.iter().chain(&row.result).map(|json| json.as_str().len()).sum::<usize>();
        rows.push(row);
    }
    Ok((rows, None))
}

/// What the log holds of items, by the event that carries it: many share one.
struct ItemPayloads<'a> {
    log: &'a dyn LogReader,
    args: BTreeMap<Seq, HashMap<Arc<str>, Option<Json>>>,
    reports: BTreeMap<Seq, HashMap<Arc<str>, ItemReport>>,
}

impl ItemPayloads<'_> {
    fn row(&mut self, item: &Item) -> Result<ItemRow, ApiError> {
        let args = self.args_of(item)?;
        let report = item.reported.map(|seq| self.report_of(seq, &item.key)).transpose()?.flatten();
        let (result, error) = report.map_or((None, None), |report| (report.result, report.error));
        Ok(ItemRow { key: item.key.clone(), args, state: item.state, result, error })
    }

    fn args_of(&mut self, item: &Item) -> Result<Option<Json>, ApiError> {
        if !self.args.contains_key(&item.added) {
            let new = match payload::event(self.log, item.added)? {
                Some(Event::JobSubmitted(data)) => data.items,
                Some(Event::JobItemsAdded(data)) => data.items,
                _ => Vec::new(),
            };
            self.args.insert(item.added, new.into_iter().map(|item| (item.key, item.args)).collect());
        }
        Ok(self.args[&item.added].get(&item.key).cloned().flatten())
    }

    fn report_of(&mut self, seq: Seq, key: &Arc<str>) -> Result<Option<ItemReport>, ApiError> {
        if !self.reports.contains_key(&seq) {
            let reports = match payload::event(self.log, seq)? {
                Some(Event::JobItemsReported(data)) => data.reports,
                _ => Vec::new(),
            };
            // The last report of a key wins, as it does in the state.
            self.reports.insert(seq, reports.into_iter().map(|report| (report.key.clone(), report)).collect());
        }
        Ok(self.reports[&seq].get(key).cloned())
    }
}

async fn tree(ctx: Arc<ApiContext>, request: Request) -> Result<Response, ApiError> {
    let id = request.job_id()?;
    let limit = paging::limit(&request.query)?;
    let at = past::at(&ctx, &request.query)?;
    let scope = past::scope(format!("tree {id}"), at);
    let after = cursor::read(&request.query, &scope)?.map(|place| JobId::from(uuid::Uuid::from_u128(place)));
    let seq = at.unwrap_or(ctx.seq());
    let not_found = move || ApiError::job_not_found(id);
    let (root_id, jobs) = match at {
        Some(at) => {
            let tree = move |past: &PastViews| past.tree(id, after, limit)?.ok_or_else(not_found);
            past::looking_back(&ctx, at, tree).await?
        }
        None => {
            let tree = move |ctx: &ApiContext| {
                let views = ctx.handle.views();
                let root = views.job(id)?.ok_or_else(not_found)?.root();
                Ok((root, views.tree(id, after, limit)?.ok_or_else(not_found)?))
            };
            ctx.blocking(tree).await?
        }
    };
    let last = jobs.last().filter(|_| jobs.len() == limit).map(|row| row.id);
    let next_cursor = last.map(|last| cursor::write(&scope, last.uuid().as_u128()));
    Ok(reply::read(seq, &Tree { root_id, jobs, next_cursor, seq, epoch: ctx.identity.epoch }))
}
