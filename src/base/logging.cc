#include "base/logging.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iterator>
#include <span>
#include <system_error>
#include <utility>

namespace quorate::log {
namespace {

// Set before threads start and never freed: lines may be written until the very end of the process.
struct Sink {
  std::vector<int> descriptors = {STDERR_FILENO};
  bool console = false;
};

Sink& TheSink() {
  static Sink* sink = new Sink;
  return *sink;
}

std::atomic<Level> level_min{Level::kInfo};

// Of a value, or a message, as it is written. What clients and peers send is as long as they like, and a line
// of it is written on the thread that serves everybody, to a disk that may be the log's.
constexpr size_t kValueBytesMax = 4096;

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
    case Level::kPanic:
      return "panic";
    case Level::kFatal:
      return "fatal";
  }
  return "unknown";
}

// ISO 8601 in UTC with microseconds.
std::string Timestamp() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char seconds[32];
  std::strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%s.%06ldZ", seconds, now.tv_nsec / 1000);
  return text;
}

constexpr size_t kTimestampBytes = sizeof "1970-01-01T00:00:00.000000Z";

// The same, by arithmetic alone: the C library's way takes a lock. Days become a date as in Howard Hinnant's
// civil_from_days (https://howardhinnant.github.io/date_algorithms.html), for years from 1970 on.
std::string_view TimestampInSignal(char (&out)[kTimestampBytes]) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t days = now.tv_sec / 86'400 + 719'468;  // Since 1 March of year 0.
  const int64_t era = days / 146'097;
  const int64_t day_of_era = days % 146'097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t march_month = (5 * day_of_year + 2) / 153;
  const int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  const int64_t second = now.tv_sec % 86'400;
  char* at = out;
  const auto put = [&at](int64_t value, int digits, char after) {
    for (int i = digits - 1; i >= 0; --i, value /= 10) at[i] = static_cast<char>('0' + value % 10);
    at += digits;
    *at++ = after;
  };
  put(year_of_era + era * 400 + (month <= 2 ? 1 : 0), 4, '-');
  put(month, 2, '-');
  put(day_of_year - (153 * march_month + 2) / 5 + 1, 2, 'T');
  put(second / 3600, 2, ':');
  put(second / 60 % 60, 2, ':');
  put(second % 60, 2, '.');
  put(now.tv_nsec / 1000, 6, 'Z');
  return {out, static_cast<size_t>(at - out)};
}

// "folder/file.cc:12" of a longer path.
std::string Caller(const char* file, int line) {
  std::string_view path(file);
  size_t slash = path.rfind('/');
  if (slash != std::string_view::npos && slash > 0) {
    slash = path.rfind('/', slash - 1);
    if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  }
  return std::string(path) + ":" + std::to_string(line);
}

// One write per line keeps lines of several threads and processes whole; what a full pipe refuses is lost.
void WriteLine(int descriptor, std::string_view line) {
  while (!line.empty()) {
    const ssize_t n = ::write(descriptor, line.data(), line.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    line.remove_prefix(static_cast<size_t>(n));
  }
}

// The length of the valid UTF-8 sequence at the start of s, 0 when there is none (Go's utf8.DecodeRune).
size_t Utf8Length(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length;
  uint8_t second_min = 0x80;
  uint8_t second_max = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3;
    if (lead == 0xe0) second_min = 0xa0;
    if (lead == 0xed) second_max = 0x9f;  // Surrogates are no characters.
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) second_min = 0x90;
    if (lead == 0xf4) second_max = 0x8f;
  } else {
    return 0;
  }
  if (s.size() < length || byte(1) < second_min || byte(1) > second_max) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

// After what is shown of a value that is too long.
std::string WholeLength(size_t bytes) { return "... (" + std::to_string(bytes) + " bytes)"; }

// So much of s as takes `bytes_max`, or hardly more; where that is not all, its length follows.
void AppendJsonString(std::string& out, std::string_view s, size_t bytes_max) {
  const size_t whole = s.size();
  const size_t begin = out.size();
  out += '"';
  while (!s.empty()) {
    if (out.size() - begin > bytes_max) {
      out += WholeLength(whole);
      break;
    }
    const auto c = static_cast<uint8_t>(s[0]);
    size_t length = 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += s[0];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", unsigned{c});
      out += escape;
    } else if (length = Utf8Length(s); length != 0) {
      out.append(s.substr(0, length));
    } else {
      out += "\\ufffd";
      length = 1;
    }
    s.remove_prefix(length);
  }
  out += '"';
}

std::string JsonDouble(double v) {
  if (std::isnan(v)) return "\"NaN\"";
  if (std::isinf(v)) return v > 0 ? "\"+Inf\"" : "\"-Inf\"";
  // The shortest text that reads back as v.
  char text[40];
  for (int digits = 1; digits <= 17; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, v);
    double back = 0;
    std::sscanf(text, "%lf", &back);
    if (back == v) break;
  }
  return text;
}

// value / unit in decimal without trailing zeros; `digits` decimals make up the unit.
std::string Decimal(uint64_t value, uint64_t unit, int digits) {
  std::string text = std::to_string(value / unit);
  uint64_t rest = value % unit;
  if (rest == 0) return text;
  std::string fraction = std::to_string(rest);
  fraction.insert(0, static_cast<size_t>(digits) - fraction.size(), '0');
  while (fraction.back() == '0') fraction.pop_back();
  return text + "." + fraction;
}

// Go's time.Duration.String.
std::string DurationText(int64_t nanos) {
  if (nanos == 0) return "0s";
  const bool negative = nanos < 0;
  const uint64_t n = negative ? ~static_cast<uint64_t>(nanos) + 1 : static_cast<uint64_t>(nanos);
  std::string text;
  if (n < 1000) {
    text = std::to_string(n) + "ns";
  } else if (n < 1'000'000) {
    text = Decimal(n, 1000, 3) + "µs";
  } else if (n < 1'000'000'000) {
    text = Decimal(n, 1'000'000, 6) + "ms";
  } else {
    constexpr uint64_t kMinute = 60'000'000'000;
    const uint64_t minutes = n / kMinute;
    text = Decimal(n % kMinute, 1'000'000'000, 9) + "s";
    if (minutes > 0) text.insert(0, std::to_string(minutes % 60) + "m");
    if (minutes >= 60) text.insert(0, std::to_string(minutes / 60) + "h");
  }
  return negative ? "-" + text : text;
}

std::string JsonLine(Level level, const std::string& caller, std::string_view message,
                     std::initializer_list<Field> fields) {
  std::string line = "{\"level\":\"";
  line.append(LevelName(level));
  line += "\",\"ts\":\"" + Timestamp() + "\",\"caller\":";
  AppendJsonString(line, caller, kValueBytesMax);
  line += ",\"msg\":";
  AppendJsonString(line, message, kValueBytesMax);
  for (const Field& field : fields) {
    line += ',';
    AppendJsonString(line, field.key, kValueBytesMax);
    line += ':';
    line += field.json;
  }
  line += "}\n";
  return line;
}

std::string ConsoleLine(Level level, const std::string& caller, std::string_view message,
                        std::initializer_list<Field> fields) {
  std::string line = Timestamp() + "\t";
  line.append(LevelName(level));
  line += "\t" + caller + "\t";
  line.append(message.substr(0, kValueBytesMax));
  if (message.size() > kValueBytesMax) line += WholeLength(message.size());
  const char* separator = "\t{";
  for (const Field& field : fields) {
    line += separator;
    AppendJsonString(line, field.key, kValueBytesMax);
    line += ": " + field.json;
    separator = ", ";
  }
  line += fields.size() == 0 ? "\n" : "}\n";
  return line;
}

}  // namespace

Field::Field(std::string_view k, std::string_view v) : key(k) { AppendJsonString(json, v, kValueBytesMax); }
Field::Field(std::string_view k, double v) : key(k), json(JsonDouble(v)) {}
Field::Field(std::string_view k, const std::vector<std::string>& v) : key(k), json("[") {
  for (const std::string& item : v) {
    if (json.size() > 1) json += ',';
    if (json.size() > kValueBytesMax) {
      AppendJsonString(json, "... (" + std::to_string(v.size()) + " items)", kValueBytesMax);
      break;
    }
    AppendJsonString(json, item, kValueBytesMax);
  }
  json += ']';
}

Field HexId(std::string_view key, uint64_t id) {
  char text[20];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(id));
  return Field(key, std::string_view(text));
}

Field Duration(std::string_view key, int64_t nanos) { return Field(key, DurationText(nanos)); }

std::string JsonString(std::string_view s) {
  std::string out;
  out.reserve(s.size() + 2);
  AppendJsonString(out, s, std::string::npos);
  return out;
}

bool Enabled(Level level) { return level >= level_min.load(std::memory_order_relaxed); }

void Write(Level level, const char* file, int line, std::string_view message,
           std::initializer_list<Field> fields) {
  const Sink& sink = TheSink();
  const std::string caller = Caller(file, line);
  const std::string text =
      sink.console ? ConsoleLine(level, caller, message, fields) : JsonLine(level, caller, message, fields);
  for (const int descriptor : sink.descriptors) WriteLine(descriptor, text);
}

void WriteFatalInSignal(std::string_view caller, std::string_view message, std::string_view fields) {
  const Sink& sink = TheSink();
  char time[kTimestampBytes];
  const std::string_view json[] = {R"({"level":"fatal","ts":")",
                                   TimestampInSignal(time),
                                   R"(","caller":")",
                                   caller,
                                   R"(","msg":")",
                                   message,
                                   "\",",
                                   fields,
                                   "}\n"};
  const std::string_view console[] = {
      TimestampInSignal(time), "\tfatal\t", caller, "\t", message, "\t{", fields, "}\n"};
  const auto parts = sink.console ? std::span<const std::string_view>(console) : json;
  std::array<iovec, std::size(json)> pieces{};
  for (size_t i = 0; i < parts.size(); ++i) {
    pieces[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
  }
  for (const int descriptor : sink.descriptors) {
    [[maybe_unused]] const ssize_t n = ::writev(descriptor, pieces.data(), static_cast<int>(parts.size()));
  }
}

bool Configure(const Config& config, std::string* error) {
  std::vector<int> descriptors;
  for (const std::string& output : config.outputs) {
    int descriptor = -1;
    if (output == "stderr") {
      descriptor = STDERR_FILENO;
    } else if (output == "stdout") {
      descriptor = STDOUT_FILENO;
    } else {
      descriptor = ::open(output.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    }
    if (descriptor < 0) {
      *error = "cannot open log output " + output + ": " + std::generic_category().message(errno);
      for (const int opened : descriptors) {
        if (opened > STDERR_FILENO) ::close(opened);
      }
      return false;
    }
    descriptors.push_back(descriptor);
  }
  Sink& sink = TheSink();
  sink.descriptors = std::move(descriptors);
  sink.console = config.console;
  level_min.store(config.level, std::memory_order_relaxed);
  return true;
}

}  // namespace quorate::log
