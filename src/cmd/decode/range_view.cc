#include "cmd/decode/range_view.h"

#include "cmd/decode/json_text.h"
#include "cmd/decode/key_tree.h"
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

}  // namespace

std::string DecodedValue(std::string_view key, std::string_view value, bool show_secrets) {
  if (value.empty()) return "(empty)";
  if (const auto encryption = EncryptionOf(value)) {
    return "(encrypted by Kubernetes, " + *encryption + ", " + SizeText(value.size()) + ")";
  }
  if (const auto object = KubernetesOutline(value, show_secrets)) return object->Text();
  if (const auto json = show_secrets ? PrettyJson(value) : PrettyJsonWithoutSecrets(value)) {
    // Strings of a document may hold what a terminal would obey.
    if (IsPrintable(*json)) return *json;
  }
  // What lies there and can't be read may be a secret all the same.
  if (!show_secrets && IsSecretKey(key)) return Hidden(value);
  if (IsPrintable(value)) return std::string(value);
  Outline lines;
  if (AddWireFields(value, &lines)) return lines.Text();
  Outline one;
  one.Add(BytesOutline("bytes", value));
  return one.Text();
}

std::string RangeText(const etcdserverpb::RangeResponse& range, const RangeView& view) {
  std::string out;
  if (view.tree) {
    KeyTree tree;
    for (const auto& kv : range.kvs()) tree.Add(kv.key(), kv.value().size());
    out = tree.Text(view.tree_levels);
  }
  if (!view.decode) return out;
  for (const auto& kv : range.kvs()) {
    if (!out.empty()) out += "\n";
    out += ScalarText(kv.key()) + "\n" + Indented(DecodedValue(kv.key(), kv.value(), view.show_secrets));
  }
  return out;
}

}  // namespace quorate::cmd
