#include "cmd/decode/kubernetes.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <vector>

#include "base/wire.h"
#include "cmd/decode/wire_outline.h"

namespace quorate::cmd {
namespace {

using wire::Type;

constexpr std::string_view kMagic{"k8s\0", 4};
constexpr std::string_view kEncryptedMark = "k8s:enc:";
// kubectl puts the whole object into it, a Secret's data included.
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

// Kinds whose object is {1: metadata, 2: spec, 3: status}.
constexpr std::array<std::string_view, 21> kKindsWithSpec = {"Pod",
                                                             "Node",
                                                             "Service",
                                                             "Namespace",
                                                             "PersistentVolume",
                                                             "PersistentVolumeClaim",
                                                             "Deployment",
                                                             "Job",
                                                             "StatefulSet",
                                                             "DaemonSet",
                                                             "HorizontalPodAutoscaler",
                                                             "ReplicationController",
                                                             "ReplicaSet",
                                                             "CronJob",
                                                             "Ingress",
                                                             "IngressClass",
                                                             "PodDisruptionBudget",
                                                             "NetworkPolicy",
                                                             "Lease",
                                                             "APIService",
                                                             "ResourceQuota"};

std::string Hidden(std::string_view bytes) { return "(hidden, " + SizeText(bytes.size()) + ")"; }

struct Entry {
  std::string_view key;
  std::string_view value;
};

// An entry of a map.
Entry ReadEntry(std::string_view message) {
  Entry entry;
  wire::Reader reader(message);
  while (reader.Next()) {
    if (reader.Is(1, Type::kBytes)) entry.key = reader.bytes();
    if (reader.Is(2, Type::kBytes)) entry.value = reader.bytes();
  }
  return entry;
}

std::string TimeText(std::string_view message) {
  wire::Reader reader(message);
  int64_t seconds = 0;
  while (reader.Next()) {
    if (reader.Is(1, Type::kVarint)) seconds = reader.int64();
  }
  const time_t time = seconds;
  tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return std::to_string(seconds);
  char text[64];
  return std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0 ? text : std::to_string(seconds);
}

// The child of that name; made where there is none yet.
Outline* Child(std::vector<std::pair<std::string, Outline>>* children, const std::string& name) {
  for (auto& [known, outline] : *children) {
    if (known == name) return &outline;
  }
  return &children->emplace_back(name, Outline(name)).second;
}

Outline OwnerOutline(std::string_view message) {
  Outline owner("owner");
  wire::Reader reader(message);
  while (reader.Next()) {
    if (reader.Is(1, Type::kBytes)) owner.Add("kind", ScalarText(reader.bytes()));
    if (reader.Is(3, Type::kBytes)) owner.Add("name", ScalarText(reader.bytes()));
    if (reader.Is(4, Type::kBytes)) owner.Add("uid", ScalarText(reader.bytes()));
    if (reader.Is(5, Type::kBytes)) owner.Add("apiVersion", ScalarText(reader.bytes()));
    if (reader.Is(6, Type::kVarint)) owner.Add("controller", reader.varint() != 0 ? "true" : "false");
  }
  return owner;
}

// ObjectMeta.
Outline MetadataOutline(std::string_view message, bool hide) {
  Outline out("metadata");
  std::vector<std::pair<std::string, Outline>> groups;
  size_t managers = 0;
  wire::Reader reader(message);
  const auto text = [&](const char* name) {
    if (!reader.bytes().empty()) out.Add(name, ScalarText(reader.bytes()));
  };
  while (reader.Next()) {
    if (reader.type() == Type::kVarint) {
      if (reader.field() == 7 && reader.varint() != 0) out.Add("generation", std::to_string(reader.int64()));
      if (reader.field() == 10) out.Add("deletionGracePeriodSeconds", std::to_string(reader.int64()));
      continue;
    }
    if (reader.type() != Type::kBytes) continue;
    switch (reader.field()) {
      case 1:
        text("name");
        break;
      case 2:
        text("generateName");
        break;
      case 3:
        text("namespace");
        break;
      case 5:
        text("uid");
        break;
      case 6:
        text("resourceVersion");
        break;
      case 8:
        out.Add("creationTimestamp", TimeText(reader.bytes()));
        break;
      case 9:
        out.Add("deletionTimestamp", TimeText(reader.bytes()));
        break;
      case 11:
      case 12: {
        const Entry entry = ReadEntry(reader.bytes());
        const bool secret = hide && entry.key == kLastApplied;
        Child(&groups, reader.field() == 11 ? "labels" : "annotations")
            ->Add(ScalarText(entry.key), secret ? Hidden(entry.value) : ScalarText(entry.value));
        break;
      }
      case 13:
        Child(&groups, "ownerReferences")->Add(OwnerOutline(reader.bytes()));
        break;
      case 14:
        Child(&groups, "finalizers")->Add("-", ScalarText(reader.bytes()));
        break;
      case 17:
        ++managers;
        break;
      default:
        break;
    }
  }
  for (auto& [name, group] : groups) out.Add(std::move(group));
  if (managers > 0) out.Add("managedFields", "(" + std::to_string(managers) + ")");
  return out;
}

// The data of a Secret or a ConfigMap: entries of maps under their names. Nothing: another field.
const char* DataField(std::string_view kind, uint32_t field) {
  if (kind == "Secret" && field == 2) return "data";
  if (kind == "Secret" && field == 4) return "stringData";
  if (kind == "ConfigMap" && field == 2) return "data";
  if (kind == "ConfigMap" && field == 3) return "binaryData";
  return nullptr;
}

std::string FieldName(std::string_view kind, uint32_t field) {
  const bool has_spec = std::find(kKindsWithSpec.begin(), kKindsWithSpec.end(), kind) != kKindsWithSpec.end();
  if (has_spec && field == 2) return "spec";
  if (has_spec && field == 3) return "status";
  if (kind == "Secret" && field == 3) return "type";
  if (kind == "Secret" && field == 5) return "immutable";
  return std::to_string(field);
}

void AddObject(std::string_view object, std::string_view kind, bool show_secrets, Outline* out) {
  const bool hide = kind == "Secret" && !show_secrets;
  std::vector<std::pair<std::string, Outline>> maps;
  wire::Reader reader(object);
  while (reader.Next()) {
    if (reader.Is(1, Type::kBytes)) {
      out->Add(MetadataOutline(reader.bytes(), hide));
      continue;
    }
    const char* const data = DataField(kind, reader.field());
    if (data != nullptr && reader.type() == Type::kBytes) {
      const Entry entry = ReadEntry(reader.bytes());
      Child(&maps, data)
          ->Add(hide ? Outline(ScalarText(entry.key), Hidden(entry.value))
                     : BytesOutline(ScalarText(entry.key), entry.value));
      continue;
    }
    std::string name = FieldName(kind, reader.field());
    if (reader.type() != Type::kBytes) {
      out->Add(std::move(name), std::to_string(reader.int64()));
    } else if (hide && name != "type") {
      out->Add(std::move(name), Hidden(reader.bytes()));
    } else {
      out->Add(BytesOutline(std::move(name), reader.bytes()));
    }
  }
  for (auto& [name, map] : maps) out->Add(std::move(map));
  if (!reader.ok()) out->Add("damaged", "the rest can't be read");
}

// runtime.Unknown, in parts of the value that it was read from.
struct Stored {
  std::string_view api_version;
  std::string_view kind;
  std::string_view object;
  std::string_view encoding;
  std::string_view content_type;
};

std::optional<Stored> ReadStored(std::string_view value) {
  if (!value.starts_with(kMagic)) return std::nullopt;
  Stored stored;
  std::string_view type;
  wire::Reader unknown(value.substr(kMagic.size()));
  while (unknown.Next()) {
    if (unknown.Is(1, Type::kBytes)) type = unknown.bytes();
    if (unknown.Is(2, Type::kBytes)) stored.object = unknown.bytes();
    if (unknown.Is(3, Type::kBytes)) stored.encoding = unknown.bytes();
    if (unknown.Is(4, Type::kBytes)) stored.content_type = unknown.bytes();
  }
  wire::Reader meta(type);
  while (meta.Next()) {
    if (meta.Is(1, Type::kBytes)) stored.api_version = meta.bytes();
    if (meta.Is(2, Type::kBytes)) stored.kind = meta.bytes();
  }
  if (!unknown.ok() || !meta.ok()) return std::nullopt;
  return stored;
}

}  // namespace

std::optional<Outline> KubernetesOutline(std::string_view value, bool show_secrets) {
  const auto stored = ReadStored(value);
  if (!stored) return std::nullopt;
  Outline out;
  out.Add("apiVersion", ScalarText(stored->api_version));
  out.Add("kind", ScalarText(stored->kind));
  // Compressed, or of another encoding than protobuf: only its size can be told.
  if (!stored->encoding.empty() || !stored->content_type.empty()) {
    out.Add("content", ScalarText(stored->content_type) + " " + ScalarText(stored->encoding) + " (" +
                           SizeText(stored->object.size()) + ")");
    return out;
  }
  AddObject(stored->object, stored->kind, show_secrets, &out);
  return out;
}

bool IsSecretObject(std::string_view value) {
  const auto stored = ReadStored(value);
  return stored && stored->kind == "Secret";
}

std::optional<std::string> EncryptionOf(std::string_view value) {
  if (!value.starts_with(kEncryptedMark)) return std::nullopt;
  // NAME:VERSION:KEY: and then the bytes.
  std::string_view rest = value.substr(kEncryptedMark.size());
  std::string text;
  for (int part = 0; part < 3; ++part) {
    const size_t colon = rest.find(':');
    if (colon == std::string_view::npos) break;
    text += (text.empty() ? "" : " ") + ScalarText(rest.substr(0, colon));
    rest.remove_prefix(colon + 1);
  }
  return text;
}

bool IsSecretKey(std::string_view key) { return key.find("/secrets/") != std::string_view::npos; }

}  // namespace quorate::cmd
