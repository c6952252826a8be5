// What Backend does with the file as a whole: snapshots and defragmentation.
#include <utility>

#include "base/check.h"
#include "bolt/check.h"
#include "mvcc/backend_impl.h"
#include "mvcc/snapshot_parts.h"

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

const bolt::ReadTx& TxOf(const Backend::Snapshot& snapshot) {
  const auto* const file = dynamic_cast<const FileSnapshot*>(&snapshot);
  QUORATE_CHECK_MSG(file != nullptr, "a snapshot that no backend made");
  return file->tx();
}

}  // namespace

Status CopySnapshotFrom(const Backend::Snapshot& snapshot, uint64_t begin,
                        const std::function<Status(std::string_view)>& write) {
  return TxOf(snapshot).CopyTo(write, begin);
}

Status CheckSnapshot(const Backend::Snapshot& snapshot, const std::atomic<bool>& stop) {
  const auto go_on = [&stop](uint64_t, uint64_t) { return !stop; };
  const bolt::CheckReport report = bolt::Check(TxOf(snapshot), go_on);
  if (stop) return MakeStatus(absl::StatusCode::kCancelled, "the check was ended");
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

void Backend::Defragment(std::function<void(Status)> done) { impl_->defragmenter.Start(std::move(done)); }

bool Backend::defragmenting() const { return impl_->defragmenter.running(); }

void Backend::RefuseDefragmentation(const Status& reason) {
  impl_->defragmenter.Refuse(reason);
  impl_->defragmenter.End(reason);
}

}  // namespace quorate::mvcc
