package pluginrpc

import (
	"context"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// aclServer serves roost.storage.v1.ACL.
type aclServer struct {
	storagev1.UnimplementedACLServer
	s *Server
}

// acl returns the plugin as backend.ACL.
func (a *aclServer) acl() (backend.ACL, error) {
	p, ok := a.s.plugin.(backend.ACL)
	if !ok || !a.s.plugin.Info().Has(backend.CapACL) {
		return nil, errNoACL()
	}
	return p, nil
}

func (a *aclServer) MyRights(ctx context.Context, r *storagev1.MyRightsRequest) (*storagev1.MyRightsResponse, error) {
	p, err := a.acl()
	if err != nil {
		return nil, err
	}
	list, err := p.MyRights(ctx, userFromProto(r.User), r.Namespace, r.Names)
	if err != nil {
		return nil, err
	}
	resp := &storagev1.MyRightsResponse{Mailboxes: make([]*storagev1.MailboxRights, len(list))}
	for i, m := range list {
		if m.Err != nil {
			resp.Mailboxes[i] = &storagev1.MailboxRights{Error: errorToProto(m.Err)}
		} else {
			resp.Mailboxes[i] = &storagev1.MailboxRights{Rights: uint32(m.Rights)}
		}
	}
	return resp, nil
}

func (a *aclServer) GetACL(ctx context.Context, r *storagev1.GetACLRequest) (*storagev1.GetACLResponse, error) {
	p, err := a.acl()
	if err != nil {
		return nil, err
	}
	list, err := p.GetACL(ctx, a.s.refs.ref(r.Mailbox))
	if err != nil {
		return nil, err
	}
	resp := &storagev1.GetACLResponse{}
	for _, e := range list {
		resp.Entries = append(resp.Entries, aclEntryToProto(e))
	}
	return resp, nil
}

func (a *aclServer) SetACL(ctx context.Context, r *storagev1.SetACLRequest) (*storagev1.SetACLResponse, error) {
	p, err := a.acl()
	if err != nil {
		return nil, err
	}
	change := backend.ACLChange{ACLEntry: aclEntryFromProto(r.Entry), Mode: backend.StoreMode(r.Mode)}
	return &storagev1.SetACLResponse{}, p.SetACL(withRequestID(ctx, r.RequestId), a.s.refs.ref(r.Mailbox), change)
}

func (a *aclServer) DeleteACL(ctx context.Context, r *storagev1.DeleteACLRequest) (*storagev1.DeleteACLResponse, error) {
	p, err := a.acl()
	if err != nil {
		return nil, err
	}
	return &storagev1.DeleteACLResponse{}, p.DeleteACL(withRequestID(ctx, r.RequestId), a.s.refs.ref(r.Mailbox), r.Identifier, r.Negative)
}
