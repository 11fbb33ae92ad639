// A Modality Performed Procedure Step acceptor on dcmjs-dimse, which shares no code with pynetdicom or DCMTK.
//
//   node acceptor.js PORT       (NODE_PATH names the folder of the packages)
//
// One JSON object a line on standard output: {"listening": PORT}, then every request with the status that it got:
//   {"operation": "N-CREATE" | "N-SET", "sop_instance_uid": ..., "attributes": {keyword: value}, "status": "0000"}
// It keeps the state machine of PS3.4 F.7.2: 0111 for a step that it has, 0112 for one that it does not have, 0110 for
// one that is final, 0106 for a first status that is not IN PROGRESS.
'use strict';

const net = require('node:net');
const dimse = require('dcmjs-dimse');

const MPPS = '1.2.840.10008.3.1.2.3.3';
const { Status, PresentationContextResult, SopClass, TransferSyntax } = dimse.constants;
const { CEchoResponse, NCreateResponse, NSetResponse } = dimse.responses;
const UNCOMPRESSED = [TransferSyntax.ImplicitVRLittleEndian, TransferSyntax.ExplicitVRLittleEndian];
const SUCCESS = 0x0000;
const INVALID_ATTRIBUTE_VALUE = 0x0106;
const PROCESSING_FAILURE = 0x0110;
const DUPLICATE_SOP_INSTANCE = 0x0111;
const NO_SUCH_SOP_INSTANCE = 0x0112;

dimse.log.disableAll(); // standard output is for the lines above

const steps = new Map(); // SOP Instance UID -> Performed Procedure Step Status

function say(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

function create(uid, attributes) {
  if (steps.has(uid)) return DUPLICATE_SOP_INSTANCE;
  if (attributes.PerformedProcedureStepStatus !== 'IN PROGRESS') return INVALID_ATTRIBUTE_VALUE;
  steps.set(uid, 'IN PROGRESS');
  return SUCCESS;
}

function change(uid, attributes) {
  if (!steps.has(uid)) return NO_SUCH_SOP_INSTANCE;
  if (steps.get(uid) !== 'IN PROGRESS') return PROCESSING_FAILURE;
  steps.set(uid, attributes.PerformedProcedureStepStatus || 'IN PROGRESS');
  return SUCCESS;
}

function perform(operation, rule, uid, request, response) {
  const dataset = request.getDataset();
  const attributes = dataset ? dataset.getElements() : {};
  const status = rule(uid, attributes);
  response.setStatus(status);
  say({
    operation,
    sop_instance_uid: uid,
    attributes,
    status: status.toString(16).toUpperCase().padStart(4, '0'),
  });
  return response;
}

class Acceptor extends dimse.Scp {
  associationRequested(association) {
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const syntax = context.getTransferSyntaxUids().find((uid) => UNCOMPRESSED.includes(uid));
      if (![MPPS, SopClass.Verification].includes(context.getAbstractSyntaxUid())) {
        context.setResult(PresentationContextResult.RejectAbstractSyntaxNotSupported);
      } else if (syntax === undefined) {
        context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
      } else {
        context.setResult(PresentationContextResult.Accept, syntax);
      }
    }
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  cEchoRequest(request, answer) {
    const response = CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    answer(response);
  }

  nCreateRequest(request, answer) {
    const uid = request.getAffectedSopInstanceUid();
    answer(perform('N-CREATE', create, uid, request, NCreateResponse.fromRequest(request)));
  }

  nSetRequest(request, answer) {
    const uid = request.getRequestedSopInstanceUid();
    answer(perform('N-SET', change, uid, request, NSetResponse.fromRequest(request)));
  }
}

// dimse.Server would listen on every interface.
const server = net.createServer((socket) => {
  const scp = new Acceptor(socket, {});
  scp.connected = true;
  scp.on('networkError', () => socket.end());
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => say({ listening: server.address().port }));
