const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/).filter(Boolean));

/**
 * Words that by themselves make a text a stand-in. Collected from public `.env.example` files and README files
 * (GitHub), and from the lists of https://github.com/blacklanternsecurity/badsecrets.
 */
export const standIns = words(`
  admin administrator aendern api apikey aqui blank cafebabe cambia cambiame cambiar change changed changeit
  changeme changethis chave choose clave cle clef contrasena create credential credentials deadbeef default
  dein deine demo dummy edit editme empty enter ersetzen example examples fake feedface fillin fillme
  fillmein fixme foo foobar geheim geheimnis generate generated guest hidden hier ici ihr ihre insecure
  insert invalid ipsum key keygoeshere keyhere keys lorem masked missing mock modify mude mysecret none
  notsecret null obtain openssl optional pass passcode passphrase passwd password passwords passwort paste
  placeholder please putyour pw pwd random redacted removed replace replaced replaceme replacethis root
  sample schluessel secret secreta secrete secretkey secreto secrets segredo senha seu something string stub
  sua supersecret tbd temp temporary test tester testing tests tmp todo token tokens toor topsecret trocar
  tu tus undefined unsafe unset update user username userpass value values vos votre whatever your yours
`);

/** Words that stand beside those without making the text any more of a secret. */
export const fillers = words(`
  access account active actual adapter add aes after aiza all along am an and anon anonymous anthropic any
  app apple application arandom are arn as asecret astrong asuper asymmetric at auth authentication
  authorization avery aws azure azurite backend bad bar base baz be bearer before better betterauth bit bits
  bot bucket by byte bytes cert certificate channel char character characters chars chat chatkit claude
  clerk client cloud cloudflare cloudinary code cohere com commit complex config connection cookie correct
  crypto csrf current data database databasename db dbname dbpassword dbuser deepseek deploy deployed
  deploying deployment dev develop developer development digits discord django do docker domain dont dsn
  dummyvalue email encrypt encrypted encryption end endpoint env environment express external fastapi file
  fill firebase five flask for forbidden four from gcp gemini gen get github gitlab global go goes good
  google gpt groq gsk had has hash hashing have head hello here hex hi high hmac host hostname hours hs
  huggingface human id ids in index instance int internal into is isa isan issuer it its itsa json just jwt
  jwts keep keycloak kubernetes langchain laravel later least len length less level like line live llm local
  localhost login long longer longest machine mail mailgun main make mariadb master max maximum mcp mcpkey
  md me message min mini minimum minio mistral model mongo mongodb more mot mssql must my mysql name need
  needed needs neon net never new next nextauth no node not nota note now nowhere npx number oauth of ok old
  on one online only or oracle org organization orm other our out own owner parameter path pem pepper pg
  phrase pinecone pk pooler port postgres postgresql prisma private prod production program proj project
  provide provided public purposes put python qa qux rails rand re react readable real really redis refresh
  region release replicate required resend rk role rsa run safe salt sdk sec secert secrect secure secured
  seed self sendgrid sensitive sentry server service services session sessions set shared short should
  showcase shown sign signature signed signing simple site sk slack small smtp so some space specific srv
  sso stage staging standard start startup stay storage store stripe strong stronger sub supabase super sure
  sys system table tavily team telegram than that the their them then there these they thing things this
  those three time to together too top trial turnstile twilio two txt type ultra unique unknown unsecure
  until up uri url us use usea used users uses using uuid valid var variable vault vercel version very via
  want was we weak web webhook webhooks website were wf whsec will with witha within without wont workflow
  workspace world write xoxb xoxp you zero
`);

/**
 * Secrets that anybody can look up, because documentation, a quick start or a default configuration prints them.
 * Those that are mere words ("changeme", "your-256-bit-secret") need no entry: the words give them away.
 */
export const publishedSecrets: ReadonlySet<string> = new Set([
  // https://fastapi.tiangolo.com/tutorial/security/oauth2-jwt/
  '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
  // https://flask.palletsprojects.com/en/stable/config/#SECRET_KEY and /quickstart/#sessions
  '192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf',
  '_5#y2L"F4Q8z\\n\\xec]/',
  // The fallback of https://github.com/better-auth/better-auth when nothing is set, before and since 1.4.
  'better-auth-secret-123456789',
  'better-auth-secret-12345678901234567890',
  // https://github.com/expressjs/session, https://github.com/auth0/node-jsonwebtoken, https://github.com/golang-jwt/jwt
  'keyboard cat',
  'Shh, its a secret!',
  'shhhhh',
  'shhhhhared-secret',
  'AllYourBase',
  // https://github.com/supabase/supabase/blob/master/docker/.env.example
  'UpNVntn3cDxHJpq99YMc1T1AQgQpc8kfYTuRgBiYa15BLrx8etQoXz3gZv1/u2oq',
  // https://github.com/grafana/grafana/blob/main/conf/defaults.ini
  'SW2YcwTIb9zpOOhoPsMm',
  // CVE-2023-27524, https://nvd.nist.gov/vuln/detail/CVE-2023-27524 (Apache Superset)
  'thisISaSECRET_1234',
  '\\2\\1thisismyscretkey\\1\\2\\e\\y\\y\\h',
  // CVE-2016-4437, https://nvd.nist.gov/vuln/detail/CVE-2016-4437 (Apache Shiro)
  'kPH+bIxk5D2deZiIxcaaaA==',
  // https://github.com/blacklanternsecurity/badsecrets: symfony_appsecret.txt
  'Wh4t3v3r',
  'ThisTokenIsNotSoSecretChangeIt',
  'ThisEzPlatformTokenIsNotSoSecret_PleaseChangeIt',
  // https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html
  'AKIAIOSFODNN7EXAMPLE',
  'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  // https://learn.microsoft.com/azure/storage/common/storage-use-azurite and /azure/cosmos-db/emulator
  'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
  'C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==',
  // What the documentation of the images on https://hub.docker.com (minio, postgres, mysql, redis …) starts them with.
  'minioadmin',
  'postgres',
  'postgresql',
  'mysql',
  'mariadb',
  'mongo',
  'mongodb',
  'redis',
  'rabbitmq',
  'elastic',
  'neo4j',
  'vagrant',
]);
