#include "cmd/decode/decoded_value.h"

#include "cmd/decode/json_text.h"
#include "cmd/decode/kubernetes.h"
#include "cmd/decode/wire_outline.h"

namespace quorate::cmd {
namespace {

constexpr std::string_view kIndent = "  ";

std::string Indented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out.append(kIndent).append(text.substr(0, end)).append("\n");
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return out;
}

std::string Hidden(std::string_view value) {
  return "(hidden, " + SizeText(value.size()) + "; --show-secrets shows it)";
}

// Below a key of secrets: what is no Secret, and so can't be shown without what it holds, may be one all the
// same.
std::string SecretValue(std::string_view value) {
  if (IsSecretObject(value)) return KubernetesOutline(value, false)->Text();
  if (const auto json = SecretJson(value); json && IsPrintable(*json)) return *json;
  return Hidden(value);
}

}  // namespace

std::string DecodedValue(std::string_view key, std::string_view value, bool show_secrets) {
  if (value.empty()) return "(empty)";
  if (const auto encryption = EncryptionOf(value)) {
    return "(encrypted by Kubernetes, " + *encryption + ", " + SizeText(value.size()) + ")";
  }
  if (!show_secrets && IsSecretKey(key)) return SecretValue(value);
  if (const auto object = KubernetesOutline(value, show_secrets)) return object->Text();
  if (const auto json = show_secrets ? PrettyJson(value) : PrettyJsonWithoutSecrets(value)) {
    // Strings of a document may hold what a terminal would obey.
    if (IsPrintable(*json)) return *json;
  }
  if (IsPrintable(value)) return std::string(value);
  Outline lines;
  if (AddWireFields(value, &lines)) return lines.Text();
  Outline one;
  one.Add(BytesOutline("bytes", value));
  return one.Text();
}

std::string DecodedLines(const mvccpb::KeyValue& kv, bool show_secrets) {
  return ScalarText(kv.key()) + "\n" + Indented(DecodedValue(kv.key(), kv.value(), show_secrets));
}

}  // namespace quorate::cmd
