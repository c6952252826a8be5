#include "mvcc/defragmenter.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <utility>

#include "base/disk.h"
#include "base/logging.h"
#include "bolt/page_fill.h"
#include "bolt/tail_pages.h"
#include "mvcc/backend_impl.h"
#include "mvcc/batch_writer.h"
#include "mvcc/defrag_limits.h"

namespace quorate::mvcc {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// Free pages that are left where they are: commits need some at hand for the pages that they replace, and
// squeezing out the last ones would move what was just written.
constexpr uint64_t kSparePagesMin = 8;
constexpr uint64_t kSparePart = 32;
// Two commits lower both metas; a few more for pages that were on their way. Then it waits for readers,
// slowly.
constexpr size_t kCutsQuick = 4;
// So much of what was free, and of the file, may be left by moves that have returned half of it.
constexpr uint64_t kLeftPart = 10;
// Packing pages must save this part of the file to be worth a copy of it.
constexpr uint64_t kPackingPart = 10;
// A copy needs the size in use and a tenth of it; and the log and everything else on the disk so much: as
// much as is in use again, within these.
constexpr uint64_t kCopyRoomPart = 10;
constexpr uint64_t kCopySpareBytesMin = uint64_t{64} << 20;
constexpr uint64_t kCopySpareBytesMax = uint64_t{1} << 30;
// No run makes more plans than it needs for the whole file, and these.
constexpr size_t kPlansBeyond = 16;

uint64_t SparePages(uint64_t free) { return std::max(kSparePagesMin, free / kSparePart); }

}  // namespace

void Defragmenter::Start(std::function<void(Status)> done) {
  if (!refused_.ok()) {
    done(refused_);
    return;
  }
  done_.push_back(std::move(done));
  if (running()) return;
  ++run_;
  stats_before_ = backend_->Figures();
  const bolt::Stats file = backend_->db->stats();
  pages_before_ = file.pages_total;
  free_before_ = file.pages_free + file.pages_pending;
  begin_nanos_ = backend_->env.clock->MonotonicNanos();
  next_step_nanos_ = begin_nanos_;
  operations_ = 0;
  operations_since_nanos_ = begin_nanos_;
  plans_ = 0;
  no_room_before_ = false;
  cut_owed_ = false;
  outcome_ = {};
  tail_ = nullptr;
  phase_ = Phase::kMoving;
  LOG_INFO("defragmenting", {"path", backend_->path}, {"current-db-size-bytes", stats_before_.size_bytes},
           {"current-db-size-in-use-bytes", stats_before_.size_in_use_bytes});
  LookForPages();
}

int64_t Defragmenter::next_commit_nanos() const { return running() && ready_ ? next_step_nanos_ : kNever; }

void Defragmenter::Ready() {
  ready_ = true;
  backend_->StartIfDue();
}

// --- moving
// ---------------------------------------------------------------------------------------------------------

// On a reader thread: the plan if there is none, then the pages of the next step into memory.
void Defragmenter::LookForPages() {
  auto look = std::make_shared<Look>();
  look->tail = tail_;
  look->begin = tail_next_;
  const bolt::Stats stats = backend_->db->stats();
  const bolt::PageId from = stats.pages_total - stats.pages_free + SparePages(free_before_);
  backend_->env.executor->Submit(
      Lane::kRead,
      [look, from, first = plans_ == 0, file = backend_->file, files = backend_->env.files,
       path = backend_->path] {
        look->room_bytes = FreeBytes(files, path).value_or(UINT64_MAX);
        look->status = [&]() -> Status {
          if (first) {
            QUORATE_ASSIGN_OR_RETURN(look->packable_bytes, bolt::PackableBytes(file->tx(), kSequentialFill,
                                                                               limits::kDefragFillSamples));
          }
          if (look->tail == nullptr) {
            QUORATE_ASSIGN_OR_RETURN(auto tail,
                                     bolt::FindTailPages(file->tx(), from, limits::kDefragPlanPages));
            look->tail = std::make_shared<const std::vector<bolt::TailPage>>(std::move(tail));
            look->begin = 0;
          }
          uint64_t bytes = 0;
          size_t& i = look->end;
          for (i = look->begin; i < look->tail->size() && bytes < limits::kDefragStepBytes; ++i) {
            QUORATE_ASSIGN_OR_RETURN(const uint64_t n, bolt::TouchTailPage(file->tx(), (*look->tail)[i]));
            bytes += n;
          }
          return {};
        }();
      },
      [this, look, run = run_, weak = backend_->weak_from_this()] {
        const std::shared_ptr<Backend::Impl> alive = weak.lock();
        if (alive != nullptr && !alive->closed && run == run_ && running()) Looked(*look);
      });
}

void Defragmenter::Looked(const Look& look) {
  if (!look.status.ok()) return End(look.status);
  room_bytes_ = look.room_bytes;
  if (plans_ == 0 && PackingPays(look.packable_bytes) && MayCopy()) return BeginCopying();
  if (tail_ == nullptr) {
    ++plans_;
    plan_moved_ = 0;
  }
  tail_ = look.tail;
  tail_next_ = look.begin;
  tail_end_ = look.end;
  if (tail_->empty()) return BeginCutting();
  Ready();
}

bool Defragmenter::PackingPays(uint64_t packable_bytes) const {
  const uint64_t free_bytes = stats_before_.size_bytes - stats_before_.size_in_use_bytes;
  return packable_bytes > free_bytes && packable_bytes > stats_before_.size_bytes / kPackingPart;
}

void Defragmenter::MoveEnded(const DefragStep& step) {
  tail_next_ = step.next;
  plan_moved_ += step.moved;
  const bool no_room = step.no_room_end != 0;
  if (no_room) no_room_end_ = step.no_room_end;
  // A page that found no room may find some when what was freed beside it is to be had: one more plan.
  if (no_room && no_room_before_ && plan_moved_ == 0) return MovesEnded();
  if (no_room || tail_next_ == tail_->size()) {
    const size_t plans_max = kPlansBeyond + pages_before_ / limits::kDefragPlanPages;
    if (!no_room && (plan_moved_ == 0 || plans_ > plans_max)) return BeginCutting();
    if (no_room && plans_ > plans_max) return MovesEnded();
    no_room_before_ = no_room;
    tail_ = nullptr;
    tail_next_ = 0;
  }
  LookForPages();
}

// The file ends where the page without room does.
void Defragmenter::MovesEnded() {
  const uint64_t returned = pages_before_ - std::min(pages_before_, no_room_end_);
  const uint64_t left = free_before_ - std::min(free_before_, returned);
  const bool much_left = left > free_before_ / kLeftPart && left > no_room_end_ / kLeftPart;
  if ((returned < free_before_ / 2 || much_left) && MayCopy()) {
    BeginCopying();
  } else {
    BeginCutting();
  }
}

// --- cutting
// ---------------------------------------------------------------------------------------------------------

void Defragmenter::BeginCutting() {
  phase_ = Phase::kCutting;
  tail_ = nullptr;
  cuts_waiting_ = 0;
  cutting_until_nanos_ = backend_->env.clock->MonotonicNanos() + limits::kDefragReaderWaitNanos;
  Ready();
}

void Defragmenter::CutEnded(const DefragStep& step) {
  if (!step.cut.owed) return End(outcome_);
  const int64_t now = backend_->env.clock->MonotonicNanos();
  cuts_waiting_ = step.cut.cut_bytes > 0 ? 0 : cuts_waiting_ + 1;
  if (cuts_waiting_ > kCutsQuick) {
    next_step_nanos_ = std::max(next_step_nanos_, now + backend_->options.batch_interval_nanos);
    if (now >= cutting_until_nanos_) {
      cut_owed_ = true;
      LOG_INFO("the end of the db file is still being read; it is cut when its readers have left",
               {"path", backend_->path});
      return End(outcome_);
    }
  }
  Ready();
}

// --- copying
// ---------------------------------------------------------------------------------------------------------

bool Defragmenter::MayCopy() {
  const uint64_t in_use = backend_->Figures().size_in_use_bytes;
  const uint64_t needed =
      in_use + in_use / kCopyRoomPart + std::clamp(in_use, kCopySpareBytesMin, kCopySpareBytesMax);
  if (room_bytes_ >= needed) return true;
  outcome_ =
      ResourceExhausted("a copy of " + backend_->path + " needs " + std::to_string(needed) +
                        " bytes of free space on its disk, and there are " + std::to_string(room_bytes_) +
                        "; moving pages returns what it can: free some space, and defragment again");
  return false;
}

void Defragmenter::BeginCopying() {
  phase_ = Phase::kCopying;
  tail_ = nullptr;
  char suffix[17];
  std::snprintf(suffix, sizeof suffix, "%016llx",
                static_cast<unsigned long long>(backend_->env.random->Next()));
  const std::string copy_path = CopyPrefix(backend_->path) + suffix;
  LOG_INFO("moving pages would return too little; copying the db file beside its use",
           {"path", backend_->path}, {"copy", copy_path});
  copy_ = std::make_shared<FileCopy>(backend_->env.files, backend_->path, copy_path, backend_->BoltOptions());
  LookAhead();
}

void Defragmenter::LookAhead() {
  auto status = std::make_shared<Status>();
  backend_->env.executor->Submit(
      Lane::kRead,
      [status, file = backend_->file, position = copy_->position()] {
        *status = TouchAhead(file->tx(), position, limits::kDefragStepBytes);
      },
      [this, status, run = run_, weak = backend_->weak_from_this()] {
        const std::shared_ptr<Backend::Impl> alive = weak.lock();
        if (alive == nullptr || alive->closed || run != run_ || !running()) return;
        if (!status->ok()) return End(*status);
        Ready();
      });
}

// --- steps
// ---------------------------------------------------------------------------------------------------------

std::shared_ptr<DefragStep> Defragmenter::TakeStep() {
  const int64_t now = backend_->env.clock->MonotonicNanos();
  auto step = std::make_shared<DefragStep>();
  step->run = run_;
  operations_ += backend_->in_flight->operations();
  if (!running()) return cut_owed_ ? step : nullptr;
  const bool due = ready_ && now >= next_step_nanos_;
  // A copy must hear of every batch; all else waits for its time.
  if (!due && phase_ != Phase::kCopying) return nullptr;
  step->copy = copy_;
  if (!due) return step;
  ready_ = false;
  step_begin_nanos_ = now;
  if (phase_ == Phase::kCopying) step->copy_bytes_max = limits::kDefragStepBytes;
  if (phase_ == Phase::kMoving) {
    step->tail = tail_;
    step->begin = tail_next_;
    step->end = tail_end_;
  }
  return step;
}

int64_t Defragmenter::Pause(int64_t nanos, int64_t now) {
  const int64_t since = std::max(limits::kDefragShortPauseNanos, now - operations_since_nanos_);
  const bool few = static_cast<double>(operations_) * 1e9 <=
                   static_cast<double>(limits::kDefragFewPerSecond) * static_cast<double>(since);
  operations_ = 0;
  operations_since_nanos_ = now;
  return few ? std::max(limits::kDefragShortPauseNanos, nanos / 2)
             : std::max(limits::kDefragPauseNanos, nanos * limits::kDefragPauseTimes);
}

void Defragmenter::StepEnded(const DefragStep& step) {
  if (step.run != run_) return;
  if (!running()) {
    cut_owed_ = cut_owed_ && step.status.ok() && step.cut.owed;
    return;
  }
  if (!step.status.ok()) return End(step.status);
  // A commit that came between: the pause after the last step goes on, however many there are.
  if (step.copy != nullptr && !step.copy->replaced() && step.copy_bytes_max == 0) return;
  const int64_t now = backend_->env.clock->MonotonicNanos();
  next_step_nanos_ = now + Pause(now - step_begin_nanos_, now);
  switch (phase_) {
    case Phase::kIdle:
      return;
    case Phase::kMoving:
      return MoveEnded(step);
    case Phase::kCutting:
      return CutEnded(step);
    case Phase::kCopying:
      if (!step.copy->replaced()) return LookAhead();
      copy_ = nullptr;
      return End({});
  }
}

void Defragmenter::End(const Status& status) {
  if (!running()) return;
  phase_ = Phase::kIdle;
  ready_ = false;
  tail_ = nullptr;
  ++run_;  // A look or a step under way comes too late.
  if (copy_ != nullptr) {
    unwanted_copy_ = std::exchange(copy_, nullptr);
    backend_->env.executor->Submit(
        Lane::kDb, [copy = unwanted_copy_] { copy->Discard(); }, [] {});
  }
  const int64_t nanos = backend_->env.clock->MonotonicNanos() - begin_nanos_;
  const Backend::Stats stats = backend_->Figures();
  if (status.ok()) {
    if (backend_->defragment_observer) backend_->defragment_observer(nanos);
    const auto difference = [](uint64_t after, uint64_t before) {
      return static_cast<int64_t>(after) - static_cast<int64_t>(before);
    };
    LOG_INFO("finished defragmenting directory", {"path", backend_->path},
             {"current-db-size-bytes-diff", difference(stats.size_bytes, stats_before_.size_bytes)},
             {"current-db-size-bytes", stats.size_bytes},
             {"current-db-size-in-use-bytes-diff",
              difference(stats.size_in_use_bytes, stats_before_.size_in_use_bytes)},
             {"current-db-size-in-use-bytes", stats.size_in_use_bytes}, log::Duration("took", nanos));
  } else {
    LOG_WARN("failed to defragment", {"path", backend_->path}, {"error", Message(status)});
  }
  for (const std::function<void(Status)>& done : std::exchange(done_, {})) done(status);
}

void Defragmenter::DiscardCopies() {
  for (const std::shared_ptr<FileCopy>& copy : {copy_, unwanted_copy_}) {
    if (copy != nullptr) copy->Discard();
  }
}

}  // namespace quorate::mvcc
