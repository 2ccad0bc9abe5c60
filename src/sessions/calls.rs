//! What a worker says about a job that it holds: the fields of each call, their limits, and what they become.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::domain::batch::{ItemReport, ItemState, NewItem};
use crate::domain::job::{JobError, Progress};
use crate::domain::json::Json;
use crate::domain::limits::{
    ERROR_CODE_BYTES_MAX, ERROR_MESSAGE_BYTES_MAX, ITEM_KEY_BYTES_MAX, ITEMS_MAX, MESSAGE_BYTES_MAX, STAGE_BYTES_MAX,
};
use crate::kinds::problem::below;
use crate::kinds::request::{ARGS_BYTES_MAX, JobRequest};
use crate::sessions::fields::Fields;
use crate::sessions::frames::FrameError;
use crate::sessions::ports::{LogLine, LogStream};
use crate::sessions::previews::{PREVIEW_BYTES_MAX, Preview};

/// The most bytes of a checkpoint.
pub const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of an error's details.
pub const ERROR_DETAILS_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of a job's result: as many as its args may have.
pub const RESULT_BYTES_MAX: usize = ARGS_BYTES_MAX;
/// The most bytes of an item's result: a page of items shows hundreds of them.
pub const ITEM_RESULT_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of a preview as a URL: what stands before the data, and four characters for each three bytes.
const PREVIEW_URL_BYTES_MAX: usize = "data:image/;base64,".len() + 64 + PREVIEW_BYTES_MAX.div_ceil(3) * 4;
/// The most bytes of the `ref` of a `submit`.
pub const REF_BYTES_MAX: usize = 1024;

/// One call about a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    Progress(ProgressCall),
    Log(Vec<LogLine>),
    Checkpoint(Json),
    Items(Vec<ItemReport>),
    /// The items of each frame: frames that came together are carried out as one call.
    AddItems(Vec<Vec<NewItem>>),
    /// A child: the JSON that asks for it is understood by the rules of kinds.
    Submit {
        reference: Option<Arc<str>>,
        request: Json,
    },
    Complete(Option<Json>),
    Release,
    /// Its attempt is filled in by the core.
    Fail(JobError),
}

/// New progress. What it leaves out stays as it was.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProgressCall {
    pub progress: Progress,
    pub preview: Option<Preview>,
}

impl ProgressCall {
    /// Puts later progress over this one.
    pub fn merge(&mut self, later: ProgressCall) {
        merge_progress(&mut self.progress, later.progress);
        self.preview = later.preview.or(self.preview.take());
    }
}

/// Puts later progress over an earlier one: what the later leaves out stays.
pub fn merge_progress(earlier: &mut Progress, later: Progress) {
    earlier.percent = later.percent.or(earlier.percent);
    earlier.stage = later.stage.or(earlier.stage.take());
    earlier.message = later.message.or(earlier.message.take());
    earlier.done = later.done.or(earlier.done);
    earlier.total = later.total.or(earlier.total);
    earlier.preview = later.preview.or(earlier.preview.take());
}

impl Call {
    /// The types of the frames that are calls.
    pub const TYPES: [&str; 9] =
        ["progress", "log", "checkpoint", "item", "add_items", "submit", "complete", "release", "fail"];

    /// The types of those that end a run.
    pub const ENDS: [&str; 3] = ["complete", "release", "fail"];

    /// Understands the fields of a call. The `ref` of a `submit` was taken out before, for the answer.
    pub fn read(fields: Fields<'_>, reference: Option<Arc<str>>) -> Result<Call, FrameError> {
        match fields.type_name() {
            "progress" => fields.into().and_then(ProgressFields::understand).map(Call::Progress),
            "log" => fields.into().map(|LogFields { lines }| Call::Log(lines.iter().map(LineFields::line).collect())),
            "checkpoint" => fields.into().and_then(CheckpointFields::understand).map(Call::Checkpoint),
            "item" => fields.into().and_then(ItemFields::understand).map(|report| Call::Items(vec![report])),
            "add_items" => fields.into().and_then(AddItemsFields::understand).map(|items| Call::AddItems(vec![items])),
            "submit" => fields.into().and_then(|SubmitFields { job }| submit(reference, job)),
            "complete" => fields.into().map(|CompleteFields { result }| Call::Complete(result)),
            "release" => fields.into().map(|ReleaseFields {}| Call::Release),
            "fail" => fields.into().map(|FailFields { error }| Call::Fail(error.understand())),
            other => Err(FrameError::unknown(other)),
        }
    }
}

fn limit(frame: &str, pointer: &str, length: usize, max: usize) -> Result<(), FrameError> {
    let fits = length <= max;
    let message = || format!("it has {length} bytes; at most {max} are taken");
    fits.then_some(()).ok_or_else(|| FrameError::at(frame, pointer.to_owned(), message()))
}

/// How far a job has come. What is left out stays as it was.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgressFields {
    /// How much is done, 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<f64>,
    /// What is being done, in a word: at most 256 bytes.
    #[schemars(length(max = STAGE_BYTES_MAX))]
    pub stage: Option<Arc<str>>,
    /// What is being done, for people: at most 4 KiB.
    #[schemars(length(max = MESSAGE_BYTES_MAX))]
    pub message: Option<Arc<str>>,
    /// Units that are done.
    pub done: Option<u64>,
    /// Units that there are.
    pub total: Option<u64>,
    /// A picture as a `data:image/…;base64,…` URL of at most 512 KiB, decoded.
    #[schemars(
        length(max = PREVIEW_URL_BYTES_MAX),
        regex(pattern = "^data:image/[A-Za-z0-9.+-]{1,64};base64,[A-Za-z0-9+/]*={0,2}$")
    )]
    pub preview: Option<String>,
}

impl ProgressFields {
    fn understand(self) -> Result<ProgressCall, FrameError> {
        if let Some(percent) = self.percent.filter(|percent| !(0.0..=100.0).contains(percent)) {
            let message = format!("{percent} is not between 0 and 100");
            return Err(FrameError::at("progress", "/percent".to_owned(), message));
        }
        limit("progress", "/stage", self.stage.as_ref().map_or(0, |text| text.len()), STAGE_BYTES_MAX)?;
        limit("progress", "/message", self.message.as_ref().map_or(0, |text| text.len()), MESSAGE_BYTES_MAX)?;
        let preview = self.preview.as_deref().map(read_preview).transpose()?;
        let progress = Progress {
            percent: self.percent,
            stage: self.stage,
            message: self.message,
            done: self.done,
            total: self.total,
            preview: preview.as_ref().map(|preview| preview.media_type.clone()),
        };
        Ok(ProgressCall { progress, preview })
    }
}

fn read_preview(url: &str) -> Result<Preview, FrameError> {
    let wrong = |message| FrameError { code: "invalid_preview".into(), ..preview_error(message) };
    let shape = || wrong("it is a data:image/…;base64,… URL".to_owned());
    let (media_type, data) =
        url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")).ok_or_else(shape)?;
    let subtype = media_type.strip_prefix("image/").ok_or_else(shape)?;
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    if subtype.is_empty() || subtype.len() > 64 || !is_word(subtype) {
        return Err(shape());
    }
    // Four characters stand for three bytes; measured before decoding, so that nothing large is made in vain.
    if data.len() / 4 * 3 > PREVIEW_BYTES_MAX + 3 {
        return Err(too_large(data.len() / 4 * 3));
    }
    let bytes = STANDARD.decode(data).map_err(|error| wrong(format!("no base64: {error}")))?;
    if bytes.len() > PREVIEW_BYTES_MAX {
        return Err(too_large(bytes.len()));
    }
    Ok(Preview { media_type: media_type.into(), bytes: bytes.into() })
}

fn too_large(length: usize) -> FrameError {
    let message = format!("the picture has {length} bytes; at most {PREVIEW_BYTES_MAX} are taken");
    FrameError { code: "preview_too_large".into(), ..preview_error(message) }
}

fn preview_error(message: String) -> FrameError {
    FrameError::at("progress", "/preview".to_owned(), message)
}

/// Log lines of the job.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFields {
    /// In order.
    pub lines: Vec<LineFields>,
}

/// One log line. Longer ones than 64 KiB are cut and marked.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LineFields {
    /// Where it was printed.
    #[serde(default)]
    pub stream: LogStream,
    /// The line, without its end.
    pub text: String,
}

impl LineFields {
    fn line(&self) -> LogLine {
        LogLine::new(self.stream, &self.text, self.text.len() as u64)
    }
}

/// A note for the next attempt, in case this one does not come to its end.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointFields {
    /// What the next attempt is handed: any JSON of at most 64 KiB.
    pub data: Json,
}

impl CheckpointFields {
    fn understand(self) -> Result<Json, FrameError> {
        let length = self.data.as_str().len();
        if length > CHECKPOINT_BYTES_MAX {
            let message = format!("it has {length} bytes; at most {CHECKPOINT_BYTES_MAX} are taken");
            let error = FrameError::at("checkpoint", "/data".to_owned(), message);
            return Err(FrameError { code: "checkpoint_too_large".into(), ..error });
        }
        Ok(self.data)
    }
}

/// What became of one item.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ItemFields {
    /// What names the item within its job.
    #[schemars(length(min = 1, max = ITEM_KEY_BYTES_MAX))]
    pub key: Arc<str>,
    /// What became of it.
    pub state: ReportedState,
    /// What it gave: any JSON.
    pub result: Option<Json>,
    /// What went wrong.
    pub error: Option<ErrorFields>,
}

/// The states that can be reported.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportedState {
    /// Done.
    Completed,
    /// Done in vain.
    Failed,
    /// Left out.
    Skipped,
}

impl ItemFields {
    fn understand(self) -> Result<ItemReport, FrameError> {
        let state = match self.state {
            ReportedState::Completed => ItemState::Completed,
            ReportedState::Failed => ItemState::Failed,
            ReportedState::Skipped => ItemState::Skipped,
        };
        let length = self.result.as_ref().map_or(0, |result| result.as_str().len());
        if length > ITEM_RESULT_BYTES_MAX {
            let (key, most) = (&self.key, ITEM_RESULT_BYTES_MAX);
            let detail =
                format!("item {key:?}: result: it has {length} bytes; at most {most} are taken, the rest is for files");
            return Err(FrameError::new("result_too_large", detail));
        }
        let error = self.error.map(ErrorFields::understand);
        Ok(ItemReport { key: self.key, state, result: self.result, error })
    }
}

/// More items. Known keys are passed over.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddItemsFields {
    /// What there is to do.
    #[schemars(length(max = ITEMS_MAX))]
    pub items: Vec<NewItemFields>,
}

/// One more item.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct NewItemFields {
    /// What names the item within its job.
    #[schemars(length(min = 1, max = ITEM_KEY_BYTES_MAX))]
    pub key: Arc<str>,
    /// What is needed to do it: any JSON.
    pub args: Option<Json>,
}

impl AddItemsFields {
    fn understand(self) -> Result<Vec<NewItem>, FrameError> {
        new_items("add_items", "/items", self.items)
    }
}

/// Understands items that stand in a frame at `base`.
fn new_items(frame: &str, base: &str, items: Vec<NewItemFields>) -> Result<Vec<NewItem>, FrameError> {
    if items.len() > ITEMS_MAX {
        return Err(FrameError::at(frame, base.to_owned(), format!("a job has at most {ITEMS_MAX} items")));
    }
    let understand = |(place, item): (usize, NewItemFields)| {
        let pointer = below(&below(base, place), "key");
        if item.key.is_empty() {
            return Err(FrameError::at(frame, pointer, "it is empty"));
        }
        limit(frame, &pointer, item.key.len(), ITEM_KEY_BYTES_MAX)?;
        Ok(NewItem { key: item.key, args: item.args })
    };
    items.into_iter().enumerate().map(understand).collect()
}

/// What became of items, or more of them: one of the two.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemsFields {
    /// What became of items.
    #[schemars(length(max = ITEMS_MAX))]
    pub items: Option<Vec<ItemFields>>,
    /// Items that there are to do as well; known keys are passed over.
    #[schemars(length(max = ITEMS_MAX))]
    pub add: Option<Vec<NewItemFields>>,
}

impl ItemsFields {
    /// Understands the fields as calls, in the order in which they are to be made: what is added may be reported at once.
    pub fn understand(self) -> Result<Vec<Call>, FrameError> {
        let ItemsFields { items, add } = self;
        if items.is_none() && add.is_none() {
            return Err(FrameError::invalid("items: send `items` that have ended, or `add` for more of them"));
        }
        let added = add.map(|items| new_items("items", "/add", items)).transpose()?;
        let reports =
            items.unwrap_or_default().into_iter().map(ItemFields::understand).collect::<Result<Vec<_>, _>>()?;
        let added = added.map(|items| Call::AddItems(vec![items]));
        let reports = (!reports.is_empty()).then_some(Call::Items(reports));
        Ok(added.into_iter().chain(reports).collect())
    }
}

/// A child of the job.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitFields {
    /// The child, as for `POST /api/jobs`.
    #[schemars(with = "JobRequest")]
    pub job: Json,
}

fn submit(reference: Option<Arc<str>>, request: Json) -> Result<Call, FrameError> {
    limit("submit", "/ref", reference.as_ref().map_or(0, |text| text.len()), REF_BYTES_MAX)?;
    Ok(Call::Submit { reference, request })
}

/// The job is done.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteFields {
    /// What it gave: any JSON.
    pub result: Option<Json>,
}

/// The worker gives the job back; it costs no attempt.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFields {}

/// The attempt failed.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailFields {
    /// What went wrong.
    pub error: ErrorFields,
}

/// What went wrong.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct ErrorFields {
    /// For programs: a word of the worker's own.
    #[serde(default = "failed")]
    #[schemars(length(max = ERROR_CODE_BYTES_MAX))]
    pub code: Arc<str>,
    /// For people: at most 64 KiB.
    #[schemars(length(max = ERROR_MESSAGE_BYTES_MAX))]
    pub message: Arc<str>,
    /// Whatever else there is to say of it: any JSON.
    pub details: Option<Json>,
    /// Whether another attempt may help.
    #[serde(default = "yes")]
    pub retryable: bool,
}

fn failed() -> Arc<str> {
    "failed".into()
}

fn yes() -> bool {
    true
}

impl ErrorFields {
    /// What is too long is cut and says so. An attempt that failed has failed: were the frame refused instead, the job
    /// would stay with a worker that believes it is rid of it.
    fn understand(self) -> JobError {
        let ErrorFields { code, message, details, retryable } = self;
        let length = details.as_ref().map_or(0, |details| details.as_str().len());
        let details = details.filter(|_| length <= ERROR_DETAILS_BYTES_MAX);
        let lost = if details.is_none() && length > 0 {
            format!(" [left out: {length} bytes of details]")
        } else {
            String::new()
        };
        let code = code[..code.floor_char_boundary(ERROR_CODE_BYTES_MAX)].into();
        let message = if message.len() + lost.len() <= ERROR_MESSAGE_BYTES_MAX {
            format!("{message}{lost}").into()
        } else {
            let mark = format!(" … [cut: the message had {} bytes]{lost}", message.len());
            format!("{}{mark}", &message[..message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX - mark.len())]).into()
        };
        JobError { code, message, details, retryable, attempt: 0 }
    }
}

/// The error of an attempt whose result is too large to be kept; none if it is not. Another attempt would make the same.
pub fn too_large_result(length: usize) -> Option<JobError> {
    (length > RESULT_BYTES_MAX).then(|| {
        let advice = "leave large data as output files and name them in the result";
        let message = format!("the result has {length} bytes; at most {RESULT_BYTES_MAX} are kept; {advice}");
        JobError {
            code: "result_too_large".into(),
            message: message.into(),
            details: None,
            retryable: false,
            attempt: 0,
        }
    })
}
