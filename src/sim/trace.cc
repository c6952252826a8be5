#include "sim/trace.h"

#include <cstdio>
#include <utility>

namespace quorate::sim {

std::string ActorName(int actor) {
  if (actor == kSimulator) return "sim";
  if (actor >= kFirstClient) return "c" + std::to_string(actor - kFirstClient);
  return "m" + std::to_string(actor);
}

uint64_t Fingerprint(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return hash;
}

void Trace::Mix(uint64_t value) {
  hash_ ^= value + 0x9e3779b97f4a7c15 + (hash_ << 6) + (hash_ >> 2);
  hash_ *= 0xff51afd7ed558ccd;
}
void Trace::Mix(std::string_view text) { Mix(Fingerprint(text)); }

void Trace::Note(int actor, std::string_view what, std::initializer_list<TraceField> fields) {
  Mix(static_cast<uint64_t>(scheduler_.now()));
  Mix(static_cast<uint64_t>(actor));
  Mix(what);
  for (const TraceField& field : fields) {
    if (field.is_text) {
      Mix(field.text);
    } else {
      Mix(static_cast<uint64_t>(field.number));
    }
  }
  if (!keep_) return;
  char time[32];
  std::snprintf(time, sizeof time, "%12.6f ", static_cast<double>(scheduler_.now()) / kSecond);
  std::string line = time + ActorName(actor) + " " + std::string(what);
  for (const TraceField& field : fields) {
    line.append(" ").append(field.name).append("=");
    line += field.is_text ? std::string(field.text) : std::to_string(field.number);
  }
  if (lines_.size() < lines_max_) {
    lines_.push_back(std::move(line));
  } else {
    lines_[next_line_++ % lines_max_] = std::move(line);
  }
}

void Trace::Fail(std::string_view check, std::string text) {
  if (failed()) return;
  Note(kSimulator, "FAILED", {{"check", check}, {"text", text}});
  check_ = check;
  failure_ = std::move(text);
}

std::vector<std::string> Trace::Lines() const {
  std::vector<std::string> out;
  for (size_t i = 0; i < lines_.size(); ++i) out.push_back(lines_[(next_line_ + i) % lines_.size()]);
  return out;
}

}  // namespace quorate::sim
