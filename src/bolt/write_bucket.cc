#include "bolt/write_bucket.h"

#include "base/endian.h"
#include "base/limits.h"

namespace quorate::bolt {
namespace {

Status CheckKey(std::string_view key, std::string_view what) {
  if (!key.empty() && key.size() <= limits::kDbKeyBytesMax) return absl::OkStatus();
  return InvalidArgument("a " + std::string(what) + " of the db file has " + std::to_string(key.size()) +
                         " bytes; it must have 1 to " + std::to_string(limits::kDbKeyBytesMax));
}

Status HoldsBucket(std::string_view key) {
  return FailedPrecondition("the key \"" + std::string(key) +
                            "\" of the db file holds a bucket, not a value");
}

}  // namespace

WriteBucket::WriteBucket(TreeWriter* writer, const BucketHeader& header, int depth)
    : writer_(writer), depth_(depth), tree_(writer, header), sequence_(header.sequence) {}

WriteBucket::~WriteBucket() = default;

void WriteBucket::set_sequence(uint64_t sequence) {
  sequence_ = sequence;
  sequence_changed_ = true;
}

Status WriteBucket::Put(std::string_view key, std::string_view value) {
  QUORATE_RETURN_IF_ERROR(CheckKey(key, "key"));
  if (value.size() > limits::kDbValueBytesMax) {
    return InvalidArgument("a value for the db file has " + std::to_string(value.size()) +
                           " bytes; the most are " + std::to_string(limits::kDbValueBytesMax));
  }
  QUORATE_ASSIGN_OR_RETURN(const WriteTree::PutResult result, tree_.Put(key, value, 0));
  return result == WriteTree::PutResult::kHoldsBucket ? HoldsBucket(key) : absl::OkStatus();
}

Status WriteBucket::Delete(std::string_view key) {
  QUORATE_ASSIGN_OR_RETURN(const auto found, tree_.Find(key));
  if (!found) return absl::OkStatus();
  if (found->is_bucket()) return HoldsBucket(key);
  return tree_.Remove(key);
}

StatusOr<std::optional<std::string_view>> WriteBucket::Get(std::string_view key) const {
  QUORATE_ASSIGN_OR_RETURN(const auto found, tree_.Find(key));
  if (!found || found->is_bucket()) return std::nullopt;
  return found->value;
}

StatusOr<WriteBucket*> WriteBucket::Adopt(std::string_view name, std::string_view value) {
  if (depth_ >= kBucketDepthMax) {
    return InvalidArgument("the bucket \"" + std::string(name) +
                           "\" of the db file is nested too deeply; the most are " +
                           std::to_string(kBucketDepthMax) + " levels");
  }
  BucketHeader header;
  if (!BucketHeader::Parse(value, &header)) {
    return writer_->source().Damage(tree_.root_page(),
                                    "the bucket \"" + std::string(name) + "\" in it can't be read");
  }
  auto bucket = std::make_unique<WriteBucket>(writer_, header, depth_ + 1);
  return children_.emplace(name, std::move(bucket)).first->second.get();
}

StatusOr<WriteBucket*> WriteBucket::FindBucket(std::string_view name) {
  if (const auto it = children_.find(name); it != children_.end()) return it->second.get();
  QUORATE_ASSIGN_OR_RETURN(const auto found, tree_.Find(name));
  if (!found || !found->is_bucket()) return nullptr;
  return Adopt(name, found->value);
}

StatusOr<WriteBucket*> WriteBucket::CreateBucketIfMissing(std::string_view name) {
  QUORATE_RETURN_IF_ERROR(CheckKey(name, "bucket name"));
  QUORATE_ASSIGN_OR_RETURN(WriteBucket* const bucket, FindBucket(name));
  if (bucket != nullptr) return bucket;
  QUORATE_ASSIGN_OR_RETURN(const auto found, tree_.Find(name));
  if (found) {
    return FailedPrecondition("the key \"" + std::string(name) +
                              "\" of the db file holds a value, not a bucket");
  }
  // An inline bucket without elements.
  std::string value(kBucketHeaderBytes, '\0');
  value.resize(kBucketHeaderBytes + kPageHeaderBytes);
  PageHeader{0, kLeafPage, 0, 0}.Store(value.data() + kBucketHeaderBytes);
  QUORATE_RETURN_IF_ERROR(tree_.Put(name, value, kBucketElement).status());
  QUORATE_ASSIGN_OR_RETURN(const auto stored, tree_.Find(name));
  return Adopt(name, stored->value);
}

Status WriteBucket::DeleteBucket(std::string_view name) {
  QUORATE_ASSIGN_OR_RETURN(WriteBucket* const bucket, FindBucket(name));
  if (bucket == nullptr) return NotFound("the db file has no bucket \"" + std::string(name) + "\"");
  if (Status freed = bucket->FreePages(); !freed.ok()) {
    writer_->Break(freed);
    return freed;
  }
  children_.erase(children_.find(name));
  return tree_.Remove(name);
}

Status WriteBucket::FreePages() {
  Cursor cursor = NewCursor();
  for (Status s = cursor.SeekFirst();; s = cursor.Next()) {
    QUORATE_RETURN_IF_ERROR(s);
    if (!cursor.Valid()) break;
    if (!cursor.is_bucket()) continue;
    QUORATE_ASSIGN_OR_RETURN(WriteBucket* const below, FindBucket(cursor.key()));
    QUORATE_RETURN_IF_ERROR(below->FreePages());
  }
  return tree_.FreePages();
}

Status WriteBucket::SpillChildren() {
  for (auto& [name, child] : children_) {
    if (!child->Changed()) continue;
    QUORATE_ASSIGN_OR_RETURN(const std::string value, child->Spill());
    QUORATE_RETURN_IF_ERROR(tree_.Put(name, value, kBucketElement).status());
  }
  return absl::OkStatus();
}

StatusOr<std::string> WriteBucket::Spill() {
  QUORATE_RETURN_IF_ERROR(SpillChildren());
  // An inline bucket whose sequence alone changed is still written whole.
  if (tree_.root_page() == 0) QUORATE_RETURN_IF_ERROR(tree_.LoadRoot());
  QUORATE_RETURN_IF_ERROR(tree_.Rebalance());
  std::string value(kBucketHeaderBytes, '\0');
  if (tree_.Inlineable()) {
    tree_.MoveInline(&value);
  } else {
    tree_.Spill();
  }
  StoreLittle(value.data(), tree_.root_page());
  StoreLittle(value.data() + 8, sequence_);
  return value;
}

Status WriteBucket::SpillAsRoot() {
  QUORATE_RETURN_IF_ERROR(SpillChildren());
  QUORATE_RETURN_IF_ERROR(tree_.Rebalance());
  tree_.Spill();
  return absl::OkStatus();
}

bool WriteBucket::Changed() const {
  if (tree_.changed() || sequence_changed_) return true;
  for (const auto& [name, child] : children_) {
    if (child->Changed()) return true;
  }
  return false;
}

}  // namespace quorate::bolt
