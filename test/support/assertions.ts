import { StrataError } from '../../scripts/lib/errors.ts';

/** The StrataError that the work ends with; anything else, success too, fails the test. */
export async function rejection(work: Promise<unknown> | (() => unknown)): Promise<StrataError> {
  let result: unknown;
  try {
    result = await (typeof work === 'function' ? work() : work);
  } catch (error) {
    if (error instanceof StrataError) return error;
    throw error;
  }
  throw new TypeError(`expected a StrataError, got ${JSON.stringify(result)?.slice(0, 200)}`);
}

/** The StrataError that the call ends with; anything else, success too, fails the test. */
export function thrown(call: () => unknown): StrataError {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    if (error instanceof StrataError) return error;
    throw error;
  }
  throw new TypeError(`expected a StrataError, got ${JSON.stringify(result)?.slice(0, 200)}`);
}

/** The Error of any class that the work ends with. */
export async function failure(work: Promise<unknown>): Promise<Error> {
  const result = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('error' in result && result.error instanceof Error) return result.error;
  throw new TypeError(`expected an Error, got ${JSON.stringify(result)?.slice(0, 200)}`);
}
