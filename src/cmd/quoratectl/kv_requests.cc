#include "cmd/quoratectl/kv_requests.h"

#include <cctype>
#include <iostream>
#include <iterator>

#include "cmd/cli/go_syntax.h"
#include "cmd/cli/near_names.h"
#include "cmd/quoratectl/hex_id.h"
#include "quorate/client/key_range.h"

namespace quorate::cmd {
namespace {

using etcdserverpb::RangeRequest;

Status BadFeature(std::string_view text) { return MakeStatus(absl::StatusCode::kUnimplemented, text); }

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// Which of the keys a command is about. `prefix` and `from_key` exclude each other and a second argument.
StatusOr<client::KeyRange> Keys(const std::vector<std::string>& values, bool prefix, bool from_key) {
  if (values.size() > 1 && (prefix || from_key)) {
    return InvalidArgument(
        "too many arguments, only accept one argument when `--prefix` or `--from-key` is set");
  }
  if (prefix) return client::Prefix(values[0]);
  if (from_key) return client::FromKey(values[0]);
  client::KeyRange keys(values[0]);
  if (values.size() > 1) keys.end = values[1];
  return keys;
}

StatusOr<RangeRequest::SortOrder> SortOrderOf(const std::string& text) {
  const std::string order = Upper(text);
  if (order.empty()) return RangeRequest::NONE;
  if (order == "ASCEND") return RangeRequest::ASCEND;
  if (order == "DESCEND") return RangeRequest::DESCEND;
  return BadFeature("bad sort order " + text + DidYouMean(NearNames(text, {"ASCEND", "DESCEND"})));
}

StatusOr<RangeRequest::SortTarget> SortTargetOf(const std::string& text) {
  const std::string target = Upper(text);
  if (target.empty() || target == "KEY") return RangeRequest::KEY;
  if (target == "CREATE") return RangeRequest::CREATE;
  if (target == "MODIFY") return RangeRequest::MOD;
  if (target == "VALUE") return RangeRequest::VALUE;
  if (target == "VERSION") return RangeRequest::VERSION;
  return BadFeature("bad sort target " + text +
                    DidYouMean(NearNames(text, {"CREATE", "KEY", "MODIFY", "VALUE", "VERSION"})));
}

Status CheckBounds(const char* min_name, int64_t min, const char* max_name, int64_t max) {
  if (max <= 0 || min <= max) return absl::OkStatus();
  return BadFeature(std::string(min_name) + "(=" + std::to_string(min) + ") > " + max_name +
                    "(=" + std::to_string(max) + ")");
}

Status CheckGet(const GetFlags& flags, const std::vector<std::string>& values) {
  if (values.empty()) {
    return InvalidArgument("get command needs one argument as key and an optional argument as range_end");
  }
  if (flags.prefix && flags.from_key) {
    return InvalidArgument("`--prefix` and `--from-key` cannot be set at the same time, choose one");
  }
  if (flags.keys_only && flags.count_only) {
    return InvalidArgument("`--keys-only` and `--count-only` cannot be set at the same time, choose one");
  }
  QUORATE_RETURN_IF_ERROR(
      CheckBounds("getMinCreateRev", flags.min_create_rev, "getMaxCreateRev", flags.max_create_rev));
  return CheckBounds("getMinModRev", flags.min_mod_rev, "getMaxModRev", flags.max_mod_rev);
}

}  // namespace

ExitCode ExitCodeOf(const Status& status) {
  return absl::IsUnimplemented(status) ? ExitCode::kBadFeature : ExitCode::kBadArguments;
}

StatusOr<bool> IsSerializable(const std::string& consistency) {
  if (consistency == "l") return false;
  if (consistency == "s") return true;
  return BadFeature("unknown consistency flag " + GoQuote(consistency));
}

void AddGetFlags(CLI::App* command, GetFlags* flags) {
  command->add_option("--consistency", flags->consistency, "Linearizable(l) or Serializable(s)")
      ->default_str(flags->consistency);
  command->add_option("--order", flags->order, "Order of results; ASCEND or DESCEND (ASCEND by default)");
  command->add_option("--sort-by", flags->sort_by, "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION");
  command->add_option("--limit", flags->limit, "Maximum number of results");
  command->add_flag("--prefix", flags->prefix, "Get keys with matching prefix");
  command->add_flag("--from-key", flags->from_key,
                    "Get keys that are greater than or equal to the given key using byte compare");
  command->add_option("--rev", flags->rev, "Specify the kv revision");
  command->add_flag("--keys-only", flags->keys_only, "Get only the keys");
  command->add_flag("--count-only", flags->count_only, "Get only the count");
  command->add_flag("--print-value-only", flags->print_value_only,
                    "Only write values when using the \"simple\" output format");
  command->add_option("--min-create-rev", flags->min_create_rev, "Minimum create revision");
  command->add_option("--max-create-rev", flags->max_create_rev, "Maximum create revision");
  command->add_option("--min-mod-rev", flags->min_mod_rev, "Minimum modification revision");
  command->add_option("--max-mod-rev", flags->max_mod_rev, "Maximum modification revision");
  command->add_flag("--stream", flags->stream, "Use the RangeStream RPC (for answers of any length)");
}

StatusOr<RangeRequest> GetRequest(const GetFlags& flags, const std::vector<std::string>& values) {
  QUORATE_RETURN_IF_ERROR(CheckGet(flags, values));
  QUORATE_ASSIGN_OR_RETURN(const bool serializable, IsSerializable(flags.consistency));
  QUORATE_ASSIGN_OR_RETURN(const client::KeyRange keys, Keys(values, flags.prefix, flags.from_key));
  QUORATE_ASSIGN_OR_RETURN(auto order, SortOrderOf(flags.order));
  QUORATE_ASSIGN_OR_RETURN(const auto target, SortTargetOf(flags.sort_by));
  // Keys come in this order anyway, and the server need not sort then.
  if (target == RangeRequest::KEY && order == RangeRequest::ASCEND) order = RangeRequest::NONE;
  RangeRequest request;
  request.set_key(keys.key);
  request.set_range_end(keys.end);
  request.set_limit(flags.limit);
  if (flags.rev > 0) request.set_revision(flags.rev);
  request.set_sort_order(order);
  request.set_sort_target(target);
  request.set_serializable(serializable);
  request.set_keys_only(flags.keys_only);
  request.set_count_only(flags.count_only);
  if (flags.min_create_rev > 0) request.set_min_create_revision(flags.min_create_rev);
  if (flags.max_create_rev > 0) request.set_max_create_revision(flags.max_create_rev);
  if (flags.min_mod_rev > 0) request.set_min_mod_revision(flags.min_mod_rev);
  if (flags.max_mod_rev > 0) request.set_max_mod_revision(flags.max_mod_rev);
  return request;
}

void AddPutFlags(CLI::App* command, PutFlags* flags) {
  command->add_option("--lease", flags->lease, "lease ID (in hexadecimal) to attach to the key")
      ->default_str(flags->lease);
  command->add_flag("--prev-kv", flags->prev_kv, "return the previous key-value pair before modification");
  command->add_flag("--ignore-value", flags->ignore_value, "updates the key using its current value");
  command->add_flag("--ignore-lease", flags->ignore_lease, "updates the key using its current lease");
}

StatusOr<etcdserverpb::PutRequest> PutRequestOf(const PutFlags& flags, const std::vector<std::string>& values,
                                                ValueFrom from) {
  const Status bad = InvalidArgument("put command needs 1 argument and input from stdin or 2 arguments");
  if (values.empty()) return bad;
  if (flags.ignore_value && values.size() > 1) {
    return InvalidArgument("put command needs only 1 argument when 'ignore-value' is set");
  }
  etcdserverpb::PutRequest request;
  request.set_key(values[0]);
  if (!flags.ignore_value) {
    std::string value;
    if (values.size() > 1) {
      value = values[1];
    } else {
      if (from == ValueFrom::kLineOrStdin) value = std::string(std::istreambuf_iterator(std::cin), {});
      if (value.empty()) return bad;
    }
    request.set_value(std::move(value));
  }
  QUORATE_ASSIGN_OR_RETURN(const int64_t lease, ParseLeaseId(flags.lease));
  request.set_lease(lease);
  request.set_prev_kv(flags.prev_kv);
  request.set_ignore_value(flags.ignore_value);
  request.set_ignore_lease(flags.ignore_lease);
  return request;
}

void AddDelFlags(CLI::App* command, DelFlags* flags) {
  command->add_flag("--prefix", flags->prefix, "delete keys with matching prefix");
  command->add_flag("--prev-kv", flags->prev_kv, "return deleted key-value pairs");
  command->add_flag("--from-key", flags->from_key,
                    "delete keys that are greater than or equal to the given key using byte compare");
  command->add_flag("--range", flags->range,
                    "delete range of keys (two arguments mean that without the flag, too)");
}

StatusOr<etcdserverpb::DeleteRangeRequest> DelRequest(const DelFlags& flags,
                                                      const std::vector<std::string>& values) {
  if (values.empty() || values.size() > 2) {
    return InvalidArgument("del command needs one argument as key and an optional argument as range_end");
  }
  if (flags.prefix && flags.from_key) {
    return InvalidArgument("`--prefix` and `--from-key` cannot be set at the same time, choose one");
  }
  QUORATE_ASSIGN_OR_RETURN(const client::KeyRange keys, Keys(values, flags.prefix, flags.from_key));
  etcdserverpb::DeleteRangeRequest request;
  request.set_key(keys.key);
  request.set_range_end(keys.end);
  request.set_prev_kv(flags.prev_kv);
  return request;
}

}  // namespace quorate::cmd
