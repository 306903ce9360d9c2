// Package validate checks what deploy/ says without a cluster, a container engine or a server: Kubernetes' own types decode
// every manifest strictly, Compose's own library reads compose.yaml, Prometheus's own parser reads every expression, and its
// promtool and HAProxy's own program judge their files. It is a module of its own, so that the program's stays small.
//
//	make test-deploy
package validate
