/** Milliseconds of processor time that `work` takes: unlike the time on the wall, no other program adds to it. */
export function processorTime(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
