module regcred.dev/test/rancher

go 1.26.0

require (
	github.com/rancher/go-rancher v0.1.1-0.20190307222549-9756097e5e4c
	regcred.dev v0.0.0
)

require (
	github.com/gorilla/websocket v1.5.3 // indirect
	github.com/pkg/errors v0.9.1 // indirect
)

replace regcred.dev => ../..
