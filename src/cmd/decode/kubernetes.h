// Values as Kubernetes' API server stores them: "k8s\0", then the message runtime.Unknown with the object in
// it. Sources: k8s.io/apimachinery, pkg/runtime/generated.proto and pkg/apis/meta/v1/generated.proto;
// k8s.io/api, core/v1/generated.proto (the numbers are frozen). Pure functions; any input is safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cmd/decode/outline.h"

namespace quorate::cmd {

// The outline of the object: apiVersion, kind, metadata, and the other fields by name where they are known,
// else by number. Nothing: it is no such value. What a Secret holds is shown with `show_secrets` only.
std::optional<Outline> KubernetesOutline(std::string_view value, bool show_secrets);

// Whether it is a Secret, which KubernetesOutline shows without what it holds.
bool IsSecretObject(std::string_view value);

// "k8s:enc:aescbc:v1:key1:...": encrypted by the API server before it came here. Nothing: it is not.
std::optional<std::string> EncryptionOf(std::string_view value);

// Whether the key is one below which Kubernetes keeps secrets.
bool IsSecretKey(std::string_view key);

}  // namespace quorate::cmd
