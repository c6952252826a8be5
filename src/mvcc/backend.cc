#include "mvcc/backend.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/endian.h"
#include "base/logging.h"
#include "mvcc/backend_impl.h"

namespace quorate::mvcc {
namespace {

constexpr std::string_view kBucketNames[kBucketCount] = {
    "key",  "meta",      "lease",     "alarm", "cluster", "members", "members_removed",
    "auth", "authUsers", "authRoles",
};

size_t Position(Bucket bucket) { return static_cast<size_t>(bucket); }

}  // namespace

std::string_view BucketName(Bucket bucket) { return kBucketNames[Position(bucket)]; }

StatusOr<std::unique_ptr<Backend>> Backend::Open(const Env& env, const std::string& path,
                                                 BackendOptions options) {
  auto impl = std::make_shared<Impl>(env, path, std::move(options));
  QUORATE_RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Backend>(new Backend(std::move(impl)));
}

Backend::Backend(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Backend::~Backend() {
  impl_->closed = true;
  // The lane may still be at work on the file: wait, so that whoever opens it next is alone.
  if (impl_->job != nullptr) impl_->job->CancelOrWait();
}

// --- opening
// ---------------------------------------------------------------------------------------------------------

bolt::Options Backend::Impl::BoltOptions() const {
  bolt::Options bolt_options;
  bolt_options.sync = options.sync;
  if (options.map_bytes != 0) bolt_options.map_bytes = options.map_bytes;
  return bolt_options;
}

Status Backend::Impl::Open() {
  QUORATE_RETURN_IF_ERROR(RemoveStaleCopies());
  QUORATE_ASSIGN_OR_RETURN(db, bolt::Db::Open(*env.files, path, BoltOptions()));
  QUORATE_RETURN_IF_ERROR(CreateBuckets());
  QUORATE_ASSIGN_OR_RETURN(file, CommittedFile::Pin(db));
  open = std::make_shared<Batch>(kBucketCount);
  Publish();
  return LoadConsistentIndex();
}

// Copies of a defragmentation that a crash cut off.
Status Backend::Impl::RemoveStaleCopies() {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string prefix = CopyPrefix(slash == std::string::npos ? path : path.substr(slash + 1));
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> names, env.files->List(directory));
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    QUORATE_RETURN_IF_ERROR(env.files->Remove(directory + "/" + name));
  }
  return {};
}

Status Backend::Impl::CreateBuckets() {
  bool missing = false;
  {
    QUORATE_ASSIGN_OR_RETURN(const bolt::ReadTx tx, db->BeginRead());
    for (const std::string_view name : kBucketNames) {
      QUORATE_ASSIGN_OR_RETURN(const std::optional<bolt::Bucket> bucket, tx.FindBucket(name));
      missing = missing || !bucket;
    }
  }
  if (!missing) return {};
  QUORATE_ASSIGN_OR_RETURN(std::unique_ptr<bolt::WriteTx> tx, db->BeginWrite());
  for (const std::string_view name : kBucketNames) {
    QUORATE_RETURN_IF_ERROR(tx->CreateBucketIfMissing(name).status());
  }
  return tx->Commit();
}

Status Backend::Impl::LoadConsistentIndex() {
  const auto load = [this](std::string_view key, uint64_t* number) -> Status {
    QUORATE_ASSIGN_OR_RETURN(const std::optional<std::string_view> value, file->Get(Bucket::kMeta, key));
    if (!value) return {};
    if (value->size() != 8) {
      return DataLoss(path + ": meta/" + std::string(key) + " has " + std::to_string(value->size()) +
                      " bytes instead of 8; restore the member from a snapshot or from another member");
    }
    *number = LoadBig64(value->data());
    return {};
  };
  QUORATE_RETURN_IF_ERROR(load(kConsistentIndexKey, &index));
  return load(kTermKey, &term);
}

// --- changes
// ---------------------------------------------------------------------------------------------------------

Batch& Backend::Impl::Changing() {
  if (open->operations() == 0) batch_begin_nanos = env.clock->MonotonicNanos();
  return *open;
}

void Backend::Put(Bucket bucket, std::string_view key, std::string_view value) {
  QUORATE_CHECK(bucket != Bucket::kKey);
  impl_->Changing().Put(Position(bucket), key, value);
}

void Backend::Delete(Bucket bucket, std::string_view key) {
  QUORATE_CHECK(bucket != Bucket::kKey);
  impl_->Changing().Put(Position(bucket), key, std::nullopt);
}

char* Backend::Allocate(size_t bytes) { return impl_->open->Allocate(bytes); }

void Backend::PutRecord(Revision revision, bool tombstone, std::string_view value) {
  impl_->Changing().AddRecord(revision, tombstone, value);
}

void Backend::DeleteRecord(Revision revision, bool tombstone) {
  impl_->Changing().DeleteRecord(revision, tombstone);
}

void Backend::SetConsistentIndex(uint64_t index, uint64_t term) {
  if (index <= impl_->index) return;
  impl_->index = index;
  impl_->term = term;
  impl_->open->SetConsistentIndex(index, term);
}

uint64_t Backend::consistent_index() const { return impl_->index; }
uint64_t Backend::consistent_term() const { return impl_->term; }
void Backend::set_write_term(bool write_term) { impl_->options.write_term = write_term; }

// --- commits
// ---------------------------------------------------------------------------------------------------------

void Backend::MaybeCommit(int64_t now_nanos) {
  if (now_nanos < next_commit_nanos()) return;
  impl_->commit_wanted = true;
  impl_->StartNext();
}

int64_t Backend::next_commit_nanos() const {
  const size_t operations = impl_->open->operations();
  // A wanted commit that has not begun waits for the one under way, whose end starts it.
  if (impl_->commit_wanted) return std::numeric_limits<int64_t>::max();
  const int64_t defragment = impl_->defragmenter.next_commit_nanos();
  if (operations == 0) return defragment;
  const bool full = operations >= impl_->options.batch_operations;
  return std::min(defragment, impl_->batch_begin_nanos + (full ? 0 : impl_->options.batch_interval_nanos));
}

void Backend::Commit(std::function<void()> done) {
  if (done) {
    impl_->waiters.push_back([done = std::move(done)](const Status& status) {
      if (status.ok()) done();
    });
  }
  impl_->commit_wanted = true;
  impl_->StartNext();
}

void Backend::Impl::Publish() {
  parts = std::make_shared<const ReadView::Parts>(ReadView::Parts{file, in_flight, open});
}

void Backend::Impl::StartNext() {
  if (job != nullptr || closed || !failure.ok()) return;
  if (commit_wanted) StartCommit();
}

void Backend::Impl::StartIfDue() {
  if (env.clock->MonotonicNanos() < defragmenter.next_commit_nanos()) return;
  commit_wanted = true;
  StartNext();
}

void Backend::Impl::Submit(const std::shared_ptr<BackendJob>& started, std::function<void()> done) {
  job = started;
  env.executor->Submit(
      Lane::kDb, [started] { started->Run(); },
      [weak = weak_from_this(), started, done = std::move(done)] {
        const std::shared_ptr<Impl> self = weak.lock();
        if (self == nullptr || self->closed || self->job != started) return;
        // Still under way while it is told of: what a waiter asks for begins when the defragmenter knows too.
        done();
        self->job = nullptr;
        self->StartNext();
      });
}

void Backend::Impl::StartCommit() {
  commit_wanted = false;
  for (const std::function<void()>& frozen : std::exchange(before_freeze, {})) frozen();
  in_flight = std::exchange(open, std::make_shared<Batch>(kBucketCount));
  in_flight_waiters = std::exchange(waiters, {});
  Publish();
  auto commit =
      std::make_shared<CommitJob>(db, in_flight, options.write_term, env.clock, defragmenter.TakeStep());
  Submit(commit, [this, commit] { FinishCommit(commit); });
}

void Backend::Impl::FinishCommit(const std::shared_ptr<CommitJob>& finished) {
  if (!finished->status().ok()) {
    Fail(finished->status());
    return;
  }
  if (finished->db() != db) Retire();
  db = finished->db();
  file = finished->file();
  in_flight = nullptr;
  Publish();
  if (finished->wrote()) {
    ++commits;
    last_commit_nanos = finished->nanos();
    if (commit_observer) commit_observer(last_commit_nanos);
  }
  for (const Waiter& waiter : std::exchange(in_flight_waiters, {})) waiter({});
  if (finished->step() != nullptr) defragmenter.StepEnded(*finished->step());
}

// A copy has taken the file's place. Letting go of a large one takes the system a while: not here.
void Backend::Impl::Retire() {
  struct Old {
    std::shared_ptr<bolt::Db> db;
    std::shared_ptr<const CommittedFile> file;
    std::shared_ptr<const ReadView::Parts> parts;
  };
  auto old = std::make_shared<Old>(Old{std::move(db), std::move(file), std::move(parts)});
  env.executor->Submit(
      Lane::kBackground, [old] { *old = {}; }, [] {});
}

// The batches stay readable: the program may go on answering what it must while it ends.
void Backend::Impl::Fail(const Status& status) {
  failure = status;
  for (const Waiter& waiter : std::exchange(in_flight_waiters, {})) waiter(status);
  for (const Waiter& waiter : std::exchange(waiters, {})) waiter(status);
  defragmenter.End(status);
  if (options.on_fatal) options.on_fatal(status);
}

Status Backend::Close() {
  Impl& impl = *impl_;
  QUORATE_CHECK(!impl.closed);
  impl.closed = true;
  if (impl.job != nullptr) {
    impl.job->RunOrWait();
    const auto ended = std::exchange(impl.job, nullptr);
    impl.db = ended->db();
    impl.failure = ended->status();
  }
  impl.defragmenter.DiscardCopies();
  if (impl.failure.ok() && impl.HasChanges()) {
    CommitJob commit(impl.db, std::exchange(impl.open, std::make_shared<Batch>(kBucketCount)),
                     impl.options.write_term, impl.env.clock, nullptr);
    commit.RunOrWait();
    impl.failure = commit.status();
  }
  impl.parts = nullptr;
  impl.in_flight = nullptr;
  impl.file = nullptr;
  impl.db = nullptr;
  return impl.failure;
}

// --- reads
// -----------------------------------------------------------------------------------------------------------

StatusOr<std::optional<std::string>> Backend::Get(Bucket bucket, std::string_view key) const {
  for (const Batch* batch : {static_cast<const Batch*>(impl_->open.get()), impl_->in_flight.get()}) {
    if (batch == nullptr) continue;
    const Batch::SmallBucket& changes = batch->small(Position(bucket));
    const auto found = changes.find(key);
    if (found != changes.end()) return found->second;
  }
  QUORATE_ASSIGN_OR_RETURN(const std::optional<std::string_view> value, impl_->file->Get(bucket, key));
  if (!value) return std::optional<std::string>();
  return std::optional<std::string>(*value);
}

Status Backend::ForEach(Bucket bucket,
                        const std::function<void(std::string_view, std::string_view)>& fn) const {
  using Change = const std::optional<std::string>*;
  std::map<std::string_view, Change> changes;
  if (impl_->in_flight != nullptr) {
    for (const auto& [key, value] : impl_->in_flight->small(Position(bucket))) changes[key] = &value;
  }
  for (const auto& [key, value] : impl_->open->small(Position(bucket))) changes[key] = &value;

  bolt::Cursor cursor = impl_->file->NewCursor(bucket);
  QUORATE_RETURN_IF_ERROR(cursor.SeekFirst());
  auto change = changes.begin();
  while (cursor.Valid() || change != changes.end()) {
    const bool from_changes = change != changes.end() && (!cursor.Valid() || change->first <= cursor.key());
    if (!from_changes) {
      fn(cursor.key(), cursor.value());
      QUORATE_RETURN_IF_ERROR(cursor.Next());
      continue;
    }
    if (cursor.Valid() && change->first == cursor.key()) QUORATE_RETURN_IF_ERROR(cursor.Next());
    if (change->second->has_value()) fn(change->first, **change->second);
    ++change;
  }
  return {};
}

std::shared_ptr<const void> Backend::PinBatch() const { return impl_->open; }

ReadView Backend::View() const { return ReadView(impl_->parts, impl_->open->records()); }

StatusOr<std::optional<std::string_view>> Backend::GetKeyValue(Revision revision) const {
  if (auto found = impl_->open->Find(revision, impl_->open->records())) return found;
  if (impl_->in_flight != nullptr) {
    if (auto found = impl_->in_flight->Find(revision, impl_->in_flight->records())) return found;
  }
  return impl_->file->Get(Bucket::kKey, EncodeRevision(revision, false).view());
}

// --- figures
// ---------------------------------------------------------------------------------------------------------

Backend::Stats Backend::Impl::Figures() const {
  const bolt::Stats bolt_stats = db->stats();
  Stats stats;
  stats.size_bytes = bolt_stats.pages_total * bolt_stats.page_size;
  stats.size_in_use_bytes = stats.size_bytes - bolt_stats.pages_free * bolt_stats.page_size;
  stats.pending_bytes = open->bytes() + (in_flight ? in_flight->bytes() : 0);
  stats.pending_operations = open->operations() + (in_flight ? in_flight->operations() : 0);
  stats.open_reads = bolt_stats.open_reads;
  stats.commits = commits;
  stats.last_commit_nanos = last_commit_nanos;
  return stats;
}

Backend::Stats Backend::stats() const { return impl_->Figures(); }

uint64_t Backend::size_bytes() const {
  const bolt::Stats stats = impl_->db->stats();
  return stats.pages_total * stats.page_size;
}

uint64_t Backend::pending_bytes() const {
  return impl_->open->bytes() + (impl_->in_flight ? impl_->in_flight->bytes() : 0);
}

void Backend::set_commit_observer(std::function<void(int64_t)> observer) {
  impl_->commit_observer = std::move(observer);
}

void Backend::set_defragment_observer(std::function<void(int64_t)> observer) {
  impl_->defragment_observer = std::move(observer);
}

}  // namespace quorate::mvcc
