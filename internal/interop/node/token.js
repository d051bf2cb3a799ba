// Asks @azure/identity for tokens: the argument is a JSON array of {scope, options}. For each it prints a line of JSON,
// with the token or with the error.
import { ManagedIdentityCredential } from "@azure/identity";

for (const { scope, options } of JSON.parse(process.argv[2])) {
  let line;
  try {
    const { token, expiresOnTimestamp } = await new ManagedIdentityCredential(options).getToken(scope);
    line = { token, expiresOnTimestamp };
  } catch (error) {
    line = { error: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(line));
}
