// Numbers and moments as people say them.

const whole = new Intl.NumberFormat("en-GB");
const moments = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export const number = (value) => whole.format(value ?? 0);
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const at = (time) => (time ? moments.format(new Date(time)) : "never");
export const day = (time) => days.format(new Date(time));
export const minute = (time) => minutes.format(new Date(time));
export const hour = (time) => clock.format(new Date(time));

export function duration(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 90) return `${left} s`;
  if (left < 90 * 60) return `${Math.round(left / 60)} min`;
  if (left < 36 * 3600) return `${Math.round(left / 3600)} h`;
  return `${Math.round(left / 86400)} days`;
}

export const seconds = (time, now = Date.now()) => (now - new Date(time).getTime()) / 1000;
export const ago = (time) => (time ? `${duration(seconds(time))} ago` : "never");
export const sum = (byReason) => Object.values(byReason ?? {}).reduce((total, count) => total + count, 0);
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
