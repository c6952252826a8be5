// What Backend does with the file as a whole: snapshots and defragmentation.
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/logging.h"
#include "bolt/check.h"
#include "mvcc/backend_impl.h"
#include "mvcc/snapshot_check.h"

namespace quorate::mvcc {
namespace {

class FileSnapshot final : public Backend::Snapshot {
 public:
  explicit FileSnapshot(std::shared_ptr<const CommittedFile> file) : file_(std::move(file)) {}

  uint64_t size_bytes() const override { return file_->tx().size_bytes(); }
  Status CopyTo(const std::function<Status(std::string_view)>& write) override {
    return file_->tx().CopyTo(write);
  }
  StatusOr<uint32_t> Hash(const std::vector<std::string>& ignored_meta_keys) override {
    return file_->Hash(ignored_meta_keys);
  }
  const bolt::ReadTx& tx() const { return file_->tx(); }

 private:
  const std::shared_ptr<const CommittedFile> file_;
};

}  // namespace

Status CheckSnapshot(const Backend::Snapshot& snapshot) {
  const auto* const file = dynamic_cast<const FileSnapshot*>(&snapshot);
  QUORATE_CHECK_MSG(file != nullptr, "a snapshot that no backend made");
  const bolt::CheckReport report = bolt::Check(file->tx());
  return report.ok() ? absl::OkStatus() : report.problems.front();
}

void Backend::BeginSnapshot(std::function<void(StatusOr<std::shared_ptr<Snapshot>>)> done) {
  BeginSnapshot({}, std::move(done));
}

void Backend::BeginSnapshot(std::function<void()> frozen,
                            std::function<void(StatusOr<std::shared_ptr<Snapshot>>)> done) {
  if (frozen) impl_->before_freeze.push_back(std::move(frozen));
  impl_->waiters.push_back([impl = impl_.get(), done = std::move(done)](const Status& status) {
    if (!status.ok()) {
      done(status);
      return;
    }
    done(std::shared_ptr<Snapshot>(std::make_shared<FileSnapshot>(impl->file)));
  });
  impl_->commit_wanted = true;
  impl_->StartNext();
}

namespace {

Status ErrReplaced() {
  return Unavailable("a snapshot of the leader is taking the place of the database; defragment again later");
}

}  // namespace

void Backend::RefuseDefragmentation() {
  impl_->defragment_refused = true;
  if (!std::exchange(impl_->defragment_wanted, false)) return;
  std::exchange(impl_->defragment_done, {})(ErrReplaced());
}

void Backend::Defragment(std::function<void(Status)> done) {
  if (impl_->defragment_refused) {
    done(ErrReplaced());
    return;
  }
  if (defragmenting()) {
    done(FailedPrecondition("a defragmentation is under way already"));
    return;
  }
  impl_->defragment_wanted = true;
  impl_->defragment_done = std::move(done);
  impl_->StartNext();
}

bool Backend::defragmenting() const { return impl_->defragment_wanted || impl_->defragment_running; }

void Backend::Impl::StartDefragment() {
  defragment_wanted = false;
  defragment_running = true;
  char suffix[17];
  std::snprintf(suffix, sizeof suffix, "%016llx", static_cast<unsigned long long>(env.random->Next()));
  auto defragment = std::make_shared<DefragmentJob>(db, env.files, path,
                                                    CopyPrefix(path) + std::string(suffix), BoltOptions());
  Submit(defragment, [this, defragment] { FinishDefragment(defragment); });
}

void Backend::Impl::FinishDefragment(const std::shared_ptr<DefragmentJob>& finished) {
  defragment_running = false;
  const auto done = std::exchange(defragment_done, nullptr);
  if (finished->status().ok()) {
    db = finished->db();
    file = finished->file();
    Publish();
  } else if (finished->replaced()) {
    Fail(finished->status());  // The new file is in place, and does not open or is not durable.
  }
  done(finished->status());
}

}  // namespace quorate::mvcc
