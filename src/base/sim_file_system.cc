#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/env_sim.h"
#include "base/sim_node.h"

namespace quorate {
namespace {

constexpr uint64_t kSectorBytes = 512;

std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> names;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    if (!name.empty() && name != ".") names.emplace_back(name);
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return names;
}

template <typename Node>
uint64_t TreeBytes(const Node& node) {
  uint64_t sum = node.image.size();
  for (const auto& [name, child] : node.children) sum += TreeBytes(*child);
  return sum;
}

}  // namespace

void SimFileSystem::NameChange::Apply() const {
  if (from_directory) from_directory->children_durable.erase(from_name);
  if (to_directory) to_directory->children_durable[to_name] = node;
}

SimFileSystem::SimFileSystem(uint64_t seed) : random_(seed), root_(std::make_shared<Node>()) {
  root_->directory = true;
  root_->mode = 0755;
}

SimFileSystem::~SimFileSystem() = default;

Status SimFileSystem::Before(SimOperation op, const std::string& path) {
  Hook hook;
  {
    std::lock_guard lock(mutex_);
    ++operations_;
    hook = hook_;
  }
  if (hook) QUORATE_RETURN_IF_ERROR(hook(op, path));
  std::lock_guard lock(mutex_);
  bool fail = false;
  for (Order& order : orders_) {
    if (order.op != op || path.find(order.path_part) == std::string::npos) continue;
    fail |= --order.countdown == 0;
  }
  std::erase_if(orders_, [](const Order& order) { return order.countdown == 0; });
  if (fail) return DataLoss(path + ": Input/output error (injected)");
  return absl::OkStatus();
}

SimFileSystem::NodePtr SimFileSystem::Find(std::string_view path) const {
  NodePtr node = root_;
  for (const std::string& name : SplitPath(path)) {
    const auto child = node->children.find(name);
    if (child == node->children.end()) return nullptr;
    node = child->second;
  }
  return node;
}

Status SimFileSystem::FindParent(const std::string& path, NodePtr* parent, std::string* name) const {
  const std::vector<std::string> names = SplitPath(path);
  if (names.empty()) return InvalidArgument("\"" + path + "\": the root has no name");
  NodePtr node = root_;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    const auto child = node->children.find(names[i]);
    if (child == node->children.end()) return NotFound(path + ": No such file or directory");
    node = child->second;
  }
  if (!node->directory) return Internal(path + ": Not a directory");
  *parent = std::move(node);
  *name = names.back();
  return absl::OkStatus();
}

void SimFileSystem::Change(NameChange change) {
  if (change.from_directory) change.from_directory->children.erase(change.from_name);
  if (change.to_directory) change.to_directory->children[change.to_name] = change.node;
  name_changes_.push_back(std::move(change));
}

StatusOr<SimFileSystem::NodePtr> SimFileSystem::FindOrCreate(const std::string& path,
                                                             const OpenOptions& options) {
  NodePtr parent;
  std::string name;
  QUORATE_RETURN_IF_ERROR(FindParent(path, &parent, &name));
  if (const auto child = parent->children.find(name); child != parent->children.end()) {
    if (options.create && options.exclusive) return AlreadyExists("open " + path + ": File exists");
    if (child->second->directory) return Internal("open " + path + ": Is a directory");
    return child->second;
  }
  if (!options.create) return NotFound("open " + path + ": No such file or directory");
  auto node = std::make_shared<Node>();
  node->mode = options.mode;
  Change({nullptr, {}, parent, name, node});
  return node;
}

StatusOr<std::unique_ptr<File>> SimFileSystem::Open(const std::string& path, const OpenOptions& options) {
  QUORATE_RETURN_IF_ERROR(Before(SimOperation::kOpen, path));
  std::lock_guard lock(mutex_);
  QUORATE_ASSIGN_OR_RETURN(NodePtr node, FindOrCreate(path, options));
  if (options.truncate && node->image.size() > 0) node->Change({0, {}, 0});
  QUORATE_RETURN_IF_ERROR(node->Lock(options.lock, epoch_, path));
  return NewFile(std::move(node), path, options);
}

Status SimFileSystem::Rename(const std::string& from, const std::string& to) {
  QUORATE_RETURN_IF_ERROR(Before(SimOperation::kRename, from));
  std::lock_guard lock(mutex_);
  NameChange change;
  QUORATE_RETURN_IF_ERROR(FindParent(from, &change.from_directory, &change.from_name));
  QUORATE_RETURN_IF_ERROR(FindParent(to, &change.to_directory, &change.to_name));
  const std::string both = "rename " + from + " to " + to;
  change.node = Find(from);
  if (!change.node) return NotFound(both + ": No such file or directory");
  const NodePtr target = Find(to);
  if (target == change.node) return absl::OkStatus();
  if (target && target->directory != change.node->directory)
    return Internal(both + ": Is or is not a directory");
  if (target && !target->children.empty()) return Internal(both + ": Directory not empty");
  const std::vector<std::string> from_names = SplitPath(from);
  const std::vector<std::string> to_names = SplitPath(to);
  if (to_names.size() > from_names.size() &&
      std::equal(from_names.begin(), from_names.end(), to_names.begin())) {
    return InvalidArgument(both + ": a directory cannot go into itself");
  }
  Change(std::move(change));
  return absl::OkStatus();
}

Status SimFileSystem::Remove(const std::string& path) {
  QUORATE_RETURN_IF_ERROR(Before(SimOperation::kRemove, path));
  std::lock_guard lock(mutex_);
  NodePtr parent;
  std::string name;
  QUORATE_RETURN_IF_ERROR(FindParent(path, &parent, &name));
  const auto child = parent->children.find(name);
  if (child == parent->children.end()) return NotFound("remove " + path + ": No such file or directory");
  if (!child->second->children.empty()) return Internal("remove " + path + ": Directory not empty");
  Change({parent, name, nullptr, {}, nullptr});
  return absl::OkStatus();
}

void SimFileSystem::UnlinkAll(const NodePtr& directory, const std::string& name) {
  const NodePtr node = directory->children.at(name);
  while (!node->children.empty()) UnlinkAll(node, node->children.begin()->first);
  Change({directory, name, nullptr, {}, nullptr});
}

Status SimFileSystem::RemoveAll(const std::string& path) {
  QUORATE_RETURN_IF_ERROR(Before(SimOperation::kRemove, path));
  std::lock_guard lock(mutex_);
  NodePtr parent;
  std::string name;
  const Status found = FindParent(path, &parent, &name);
  if (absl::IsNotFound(found)) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(found);
  if (parent->children.contains(name)) UnlinkAll(parent, name);
  return absl::OkStatus();
}

Status SimFileSystem::CreateDirectories(const std::string& path, uint32_t mode) {
  QUORATE_RETURN_IF_ERROR(Before(SimOperation::kCreateDirectories, path));
  std::lock_guard lock(mutex_);
  NodePtr node = root_;
  for (const std::string& name : SplitPath(path)) {
    if (!node->directory) return AlreadyExists("make directory " + path + ": a parent is a file");
    const auto child = node->children.find(name);
    NodePtr next = child == node->children.end() ? nullptr : child->second;
    if (!next) {
      next = std::make_shared<Node>();
      next->directory = true;
      next->mode = mode;
      Change({nullptr, {}, node, name, next});
    }
    node = std::move(next);
  }
  if (!node->directory) return AlreadyExists("make directory " + path + ": a file is there");
  return absl::OkStatus();
}

StatusOr<std::vector<std::string>> SimFileSystem::List(const std::string& directory) {
  QUORATE_RETURN_IF_ERROR(Before(SimOperation::kList, directory));
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(directory);
  if (!node) return NotFound("list " + directory + ": No such file or directory");
  if (!node->directory) return Internal("list " + directory + ": Not a directory");
  std::vector<std::string> names;
  for (const auto& [name, child] : node->children) names.push_back(name);
  return names;
}

StatusOr<FileInfo> SimFileSystem::Stat(const std::string& path) {
  QUORATE_RETURN_IF_ERROR(Before(SimOperation::kStat, path));
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(path);
  if (!node) return NotFound("stat " + path + ": No such file or directory");
  return FileInfo{node->image.size(), node->mode, node->directory};
}

Status SimFileSystem::SyncDirectory(const std::string& directory) {
  QUORATE_RETURN_IF_ERROR(Before(SimOperation::kSyncDirectory, directory));
  std::lock_guard lock(mutex_);
  const NodePtr synced = Find(directory);
  if (!synced) return NotFound("open directory " + directory + ": No such file or directory");
  if (!synced->directory) return Internal("open directory " + directory + ": Not a directory");
  // A rename between two directories takes along what came before it in the other one, so that a directory's
  // changes become durable in their order.
  std::vector<const Node*> directories = {synced.get()};
  const auto touches = [&](const NodePtr& node) {
    return node && std::find(directories.begin(), directories.end(), node.get()) != directories.end();
  };
  std::vector<NameChange> chosen;
  std::vector<NameChange> rest;
  for (auto change = name_changes_.rbegin(); change != name_changes_.rend(); ++change) {
    if (!touches(change->from_directory) && !touches(change->to_directory)) {
      rest.push_back(std::move(*change));
      continue;
    }
    if (change->from_directory) directories.push_back(change->from_directory.get());
    if (change->to_directory) directories.push_back(change->to_directory.get());
    chosen.push_back(std::move(*change));
  }
  for (auto change = chosen.rbegin(); change != chosen.rend(); ++change) change->Apply();
  std::reverse(rest.begin(), rest.end());
  name_changes_ = std::move(rest);
  return absl::OkStatus();
}

void SimFileSystem::CrashNames() {
  std::vector<const Node*> cut;  // Directories whose later changes are lost.
  const auto is_cut = [&](const NodePtr& node) {
    return node && std::find(cut.begin(), cut.end(), node.get()) != cut.end();
  };
  for (const NameChange& change : name_changes_) {
    const bool survives = random_.Below(2) == 0;
    if (survives && !is_cut(change.from_directory) && !is_cut(change.to_directory)) {
      change.Apply();
      continue;
    }
    if (change.from_directory) cut.push_back(change.from_directory.get());
    if (change.to_directory) cut.push_back(change.to_directory.get());
  }
  name_changes_.clear();
}

void SimFileSystem::SurviveInPart(Node& node) {
  for (ContentChange& change : node.changes) {
    enum Fate : uint64_t { kWhole, kLost, kBytes, kSectors };
    auto fate = static_cast<Fate>(random_.Below(4));
    if (fate == kBytes && !byte_tears_) fate = kSectors;
    if (fate == kLost) continue;
    if (fate != kWhole && !change.size) {
      uint64_t start = random_.Below(change.bytes.size() + 1);
      uint64_t end = start + random_.Below(change.bytes.size() - start + 1);
      if (random_.Below(2) == 0) start = 0;
      if (fate == kSectors) {
        // Cut where the sectors of the file begin; the ends of the write itself are ends too.
        const auto align = [&](uint64_t position) {
          const uint64_t aligned = (change.offset + position) / kSectorBytes * kSectorBytes;
          return aligned < change.offset ? 0 : aligned - change.offset;
        };
        start = align(start);
        end = end == change.bytes.size() ? end : align(end);
      }
      if (start >= end) continue;
      change.bytes = change.bytes.substr(start, end - start);
      change.offset += start;
    }
    change.Apply(node.image_durable);
  }
  node.changes.clear();
}

void SimFileSystem::CrashContents(Node& node) {
  if (node.directory) {
    node.children = node.children_durable;
    for (const auto& [name, child] : node.children) CrashContents(*child);
    return;
  }
  SurviveInPart(node);
  node.image = node.image_durable.Clone();
  node.cache_lies = false;
}

void SimFileSystem::MayDropCache(Node& node) {
  for (const auto& [name, child] : node.children) MayDropCache(*child);
  if (!node.cache_lies || random_.Below(2) == 0) return;
  node.image = node.image_durable.Clone();
  for (const ContentChange& change : node.changes) change.Apply(node.image);
}

void SimFileSystem::Crash() {
  std::lock_guard lock(mutex_);
  ++epoch_;
  CrashNames();
  CrashContents(*root_);
  cache_lies_ = false;
}

void SimFileSystem::Kill() {
  std::lock_guard lock(mutex_);
  ++epoch_;
  if (cache_lies_) MayDropCache(*root_);
}

void SimFileSystem::set_before_operation(Hook hook) {
  std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void SimFileSystem::InjectError(SimOperation op, uint64_t nth, std::string path_part) {
  QUORATE_CHECK(nth > 0);
  std::lock_guard lock(mutex_);
  orders_.push_back({op, nth, std::move(path_part)});
}

void SimFileSystem::set_byte_tears(bool byte_tears) {
  std::lock_guard lock(mutex_);
  byte_tears_ = byte_tears;
}

void SimFileSystem::set_capacity_bytes(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  capacity_bytes_ = bytes;
}

uint64_t SimFileSystem::capacity_bytes() const {
  std::lock_guard lock(mutex_);
  return capacity_bytes_;
}

uint64_t SimFileSystem::RoomBytes() const {
  if (capacity_bytes_ == UINT64_MAX) return UINT64_MAX;
  const uint64_t used = TreeBytes(*root_);
  return used < capacity_bytes_ ? capacity_bytes_ - used : 0;
}

uint64_t SimFileSystem::used_bytes() const {
  std::lock_guard lock(mutex_);
  return TreeBytes(*root_);
}

Status SimFileSystem::FlipBit(const std::string& path, uint64_t offset, int bit) {
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(path);
  if (!node || node->directory) return NotFound("flip a bit of " + path + ": no such file");
  if (offset >= node->image.size()) return OutOfRange("flip a bit of " + path + ": beyond its end");
  for (SparseBytes* image : {&node->image, &node->image_durable}) {
    char byte;
    if (image->Read(offset, &byte, 1) == 0) continue;
    byte = static_cast<char>(byte ^ 1 << bit);
    image->Write(offset, {&byte, 1});
  }
  for (SimMapping* mapping : node->mappings) mapping->Refresh(offset, 1);
  return absl::OkStatus();
}

void SimFileSystem::set_residency(Residency residency) {
  std::lock_guard lock(mutex_);
  residency_ = std::move(residency);
}

uint64_t SimFileSystem::operations() const {
  std::lock_guard lock(mutex_);
  return operations_;
}

}  // namespace quorate
