/** openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=strata-test; until 2126-10-28 */
export const certificate = `-----BEGIN CERTIFICATE-----
MIIBgjCCASmgAwIBAgIUf7NfdlyRzmaPAu4Lm1lqwASSaywwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLc3RyYXRhLXRlc3QwIBcNMjYxMTIxMTQyMTA4WhgPMjEyNjEw
MjgxNDIxMDhaMBYxFDASBgNVBAMMC3N0cmF0YS10ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEUS4OkU3rfqabIZf6cTcm+vWPfbmgEDhIF+7iuddkb2spqGk8
fKvAWBaiziJwLav9yI9PEJH8ZhYotUdc0gcluqNTMFEwHQYDVR0OBBYEFLgy5arh
Ouw4DcHExEZ14gvs71GSMB8GA1UdIwQYMBaAFLgy5arhOuw4DcHExEZ14gvs71GS
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgFhj6s7/Vk1RsZTM0
T5s/6chQiQTt8ZBM6C/rs+ftbcYCIBV9egtq5/X1iFWlq3y0yt52QRTkopdM91eA
mo7CpXCo
-----END CERTIFICATE-----`;
