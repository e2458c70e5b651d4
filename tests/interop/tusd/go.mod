module uploadstream.test/tusd

go 1.25.0

require github.com/tus/tusd/v2 v2.8.0
