// Loaded into a command before anything else: its wall clock is off by STRATA_TEST_JUMP milliseconds, from its start
// or, where STRATA_TEST_JUMP_ON names a signal, from that on.
const RealDate = Date;
const { STRATA_TEST_JUMP, STRATA_TEST_JUMP_ON } = process.env;
let jump = STRATA_TEST_JUMP_ON ? 0 : Number(STRATA_TEST_JUMP);
if (STRATA_TEST_JUMP_ON)
  process.on(STRATA_TEST_JUMP_ON, () => {
    jump = Number(STRATA_TEST_JUMP);
    process.stderr.write(`the wall clock says ${new Date().toISOString()}\n`);
  });

globalThis.Date = class extends RealDate {
  constructor(...parts) {
    super(...(parts.length > 0 ? parts : [RealDate.now() + jump]));
  }

  static now() {
    return RealDate.now() + jump;
  }
};
