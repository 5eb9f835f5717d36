umask 077
jq --null-input '
  {auths: {"ghcr.io": {auth: ("\(env.ACTOR):\(env.TOKEN)" | @base64)}}}
  * (env.OTHERS | if . == "" then {} else try fromjson catch error("the secret REGISTRY_AUTH is not JSON") end)
' > "$RUNNER_TEMP/registries.json"
