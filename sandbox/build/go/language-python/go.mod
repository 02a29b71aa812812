// The last version of Pulumi's SDK that holds the Python language host; it works with newer engines and SDKs.
module sandbox.local/language-python

go 1.26

require github.com/pulumi/pulumi/sdk/v3 v3.60.0
