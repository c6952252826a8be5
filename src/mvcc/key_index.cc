#include "mvcc/key_index.h"

#include <algorithm>

#include "base/check.h"

namespace quorate::mvcc {
namespace {

// How many of the oldest records a compaction at `at` deletes; all of them when the key is to be forgotten.
uint32_t Deleted(const KeyNode& node, int64_t at, bool keep_tombstone) {
  const int64_t newest = NewestAt(node, at);
  if (newest < 0) return 0;
  const KeyRecord& record = RecordAt(node, static_cast<uint32_t>(newest));
  const bool keeps = !record.tombstone || (keep_tombstone && record.main == at);
  return static_cast<uint32_t>(newest) + (keeps ? 0 : 1);
}

}  // namespace

KeyIndex::~KeyIndex() {
  for (KeyTree::Place place = tree_.Begin(); !place.end(); place.Advance()) arena_.Delete(place.node());
}

KeyIndex::PutResult KeyIndex::Put(std::string_view key, Revision revision) {
  PutResult result;
  tree_.Upsert(key, [&](KeyNode* node) {
    if (node == nullptr) {
      node = arena_.New(key);
    } else {
      result.existed = node->alive();
    }
    arena_.Append(node, revision, false);
    result.created = node->created;
    result.version = node->version;
    return node;
  });
  newest_ = revision.main;
  return result;
}

bool KeyIndex::Tombstone(std::string_view key, Revision revision) {
  const KeyNode* known = tree_.Find(key);
  if (known == nullptr || !known->alive()) return false;
  tree_.Upsert(key, [&](KeyNode* node) {
    arena_.Append(node, revision, true);
    return node;
  });
  newest_ = revision.main;
  return true;
}

bool KeyIndex::Get(std::string_view key, int64_t at, KeyVersion* out) const {
  const KeyNode* node = tree_.Find(key);
  return node != nullptr && VersionAt(*node, at, out);
}

int64_t KeyIndex::Count(std::string_view key, std::string_view range_end, int64_t at) const {
  if (!range_end.empty() && at >= newest_) {
    const bool open = IsOpenEnd(range_end);
    if (!open && range_end <= key) return 0;
    return (open ? tree_.live() : tree_.LiveBefore(range_end)) - tree_.LiveBefore(key);
  }
  int64_t count = 0;
  Range(key, range_end, at, [&count](std::string_view, const KeyVersion&) {
    ++count;
    return true;
  });
  return count;
}

KeyTree::Place KeyIndex::Resume(const Pass& pass) const {
  if (!pass.begun) return tree_.Begin();
  KeyTree::Place place = tree_.LowerBound(pass.after);
  if (!place.end() && place.node()->key() == pass.after) place.Advance();
  return place;
}

void KeyIndex::CompactStep(Pass* pass, int64_t at, bool keep_tombstone, size_t budget,
                           std::vector<DroppedRecord>* dropped) {
  std::vector<KeyNode*> forgotten;
  KeyTree::Place place = Resume(*pass);
  const KeyNode* last = nullptr;
  for (; budget > 0 && !place.end(); --budget, place.Advance()) {
    KeyNode* node = place.node();
    last = node;
    const uint32_t deleted = Deleted(*node, at, keep_tombstone);
    if (deleted < RecordCount(*node)) {
      arena_.DropFirst(node, deleted, dropped);
      continue;
    }
    arena_.DropFirst(node, deleted - 1, dropped);
    dropped->push_back({node->last.main, node->last.sub, node->last.tombstone != 0});
    forgotten.push_back(node);
  }
  pass->done = place.end();
  if (last != nullptr) {
    pass->begun = true;
    pass->after.assign(last->key());
  }
  for (KeyNode* node : forgotten) {
    tree_.Erase(node->key());
    arena_.Delete(node);
  }
}

void KeyIndex::KeepStep(Pass* pass, int64_t at, int64_t only_until, bool tombstone_counts, size_t budget,
                        std::vector<Revision>* kept, bool* any) const {
  KeyTree::Place place = Resume(*pass);
  const KeyNode* last = nullptr;
  for (; budget > 0 && !place.end(); --budget, place.Advance()) {
    last = place.node();
    const int64_t newest = NewestAt(*last, at);
    if (newest < 0) continue;
    const KeyRecord& record = RecordAt(*last, static_cast<uint32_t>(newest));
    if (record.tombstone && !(tombstone_counts && record.main == at)) continue;
    *any = true;
    if (record.main <= only_until) kept->push_back(record.revision());
  }
  pass->done = place.end();
  if (last != nullptr) {
    pass->begun = true;
    pass->after.assign(last->key());
  }
}

}  // namespace quorate::mvcc
